"""The fields of a bot's search, for the form of a bot and for trying other settings on an answer."""

from typing import Any

import reflex as rx

from rag_app.components.furniture import field, text_area, text_input

_NUMBER: dict[str, Any] = {"input_mode": "decimal", "auto_complete": "off", "max_length": 12}


def retrieval_fields(values: Any) -> rx.Component:
    """One field per setting; `values` is a RetrievalForm."""
    return rx.el.div(*_finding(values), *_judging(values), class_name="settings-grid")


def _finding(values: Any) -> tuple[rx.Component, ...]:
    return (
        field("Passages", text_input("limit", default_value=values.limit, **_NUMBER), hint="The best ones, 1 to 50."),
        field(
            "Search by",
            rx.el.select(
                rx.el.option("Words and meaning", value="hybrid"),
                rx.el.option("Meaning only", value="dense"),
                rx.el.option("Words only", value="lexical"),
                name="mode",
                default_value=values.mode,
                class_name="input",
            ),
        ),
        field(
            "Weight of meaning",
            text_input("dense_weight", default_value=values.dense_weight, **_NUMBER),
            hint="0 to 1; empty = what was measured for the embedding model.",
        ),
        field(
            "Reranker",
            text_input("rerank", default_value=values.rerank, max_length=200, auto_complete="off"),
            hint="Empty = none; chat = the bot's own model; or a model such as cohere/rerank-v3.5.",
        ),
    )


def _judging(values: Any) -> tuple[rx.Component, ...]:
    example = "team = sales, support"
    return (
        field(
            "Least probability",
            text_input("minimum_evidence", default_value=values.minimum_evidence, **_NUMBER),
            hint="0 to 1: below it the bot says that it found nothing. Empty = the default.",
        ),
        field(
            "Searches",
            text_input("hops", default_value=values.hops, **_NUMBER),
            hint="1 to 3: how often the model may read and search again.",
        ),
        field(
            "Tokens for passages",
            text_input("context_tokens", default_value=values.context_tokens, **_NUMBER),
            hint="How much of the prompt is kept for them.",
        ),
        field(
            "Only documents with",
            text_area("filter", rows=2, default_value=values.filter, max_length=4000, placeholder=example),
            hint="One line per key of their metadata; several values mean any of them.",
        ),
        rx.el.label(
            rx.el.input(type="checkbox", name="split", default_checked=values.split),
            "Searches the parts of a question one by one",
            class_name="check",
        ),
    )
