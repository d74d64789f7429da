"""The form of a bot's search: what it shows comes back as the same settings, and mistakes have words."""

from typing import Any

import pytest

from rag_app.errors import InvalidInput
from rag_app.services.retrieval_settings import as_json, settings_of, with_changes
from rag_app.state.retrieval_form import changes_from, form_of

SETTINGS = {
    "limit": 5, "mode": "dense",
    "filter": {
        "team": ["sales", "support"], "year": 2024, "open": True, "odd": ["2024", "a, b", 'c"d', "NaN"], "one": "true",
    },
    "dense_weight": 0.4, "rerank": {"model": "chat", "candidates": 12, "timeout_s": 2.0}, "split": False, "hops": 2,
    "minimum_evidence": 0.3, "context_tokens": 2000,
}  # fmt: skip


@pytest.mark.parametrize("stored", [SETTINGS, {}])
def test_a_form_that_nobody_touches_changes_nothing(stored: dict[str, Any]) -> None:
    settings = settings_of(stored)
    form = vars(form_of(settings))
    sent = {name: value for name, value in form.items() if value is not False}  # an empty box is not sent
    assert settings_of(with_changes({}, changes_from(sent, settings))) == settings
    assert as_json(settings)["limit"] == stored.get("limit", 8)


@pytest.mark.parametrize(
    "wrong",
    [{"limit": "many"}, {"limit": "2.5"}, {"filter": "team sales"}, {"filter": "team ="}, {"dense_weight": "half"}],
)
def test_a_mistake_has_words(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        changes_from(wrong, settings_of({}))


@pytest.mark.parametrize("wrong", [{"limit": "99"}, {"dense_weight": "7"}, {"hops": "9"}, {"mode": "magic"}])
def test_what_is_out_of_range_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        with_changes({}, changes_from(wrong, settings_of({})))
