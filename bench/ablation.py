"""What each part of retrieval is worth: one change at a time, paired with the product as it is, on every set."""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from bench import retrieval_sets as sets
from bench._memory_index import LANGUAGE, Analyse, Cuts, MemoryIndex, Sizes, Steps, cuts_of, files_of
from bench.quality import LIMIT, LIMIT_OF_FILES, interval, judge
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.plain import parse_plain
from rag_app.providers import local_embedder
from rag_app.retrieval import ranking, terms, weights
from rag_app.retrieval.stopwords import STOP_WORDS

RESULTS = Path(__file__).parent / "results" / "ablation.json"
METRICS = {**sets.MAIN_METRIC, "scifact_train": "ndcg@10", "squad_articles": "ndcg@10"}
SETS = ("scifact_train", "squad", "squad_articles", "claude_docs", sets.FILINGS)
Documents = list[tuple[str, ParsedDocument]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One change to the product."""

    name: str
    sizes: Sizes = field(default_factory=Sizes)
    steps: Steps = field(default_factory=Steps)
    context: bool = True
    analyse: Analyse | None = None
    patches: tuple[tuple[Any, str, Any], ...] = field(default=())


def _pairs(text: str) -> list[str]:
    found = terms.terms_of(text, LANGUAGE)
    return [*found, *(f"{one} {other}" for one, other in pairwise(found))]


def _parts_only(token: str, code: str) -> tuple[str, ...]:
    pieces = [part for piece in re.findall(r"[^\W_]+", token) for part in terms._split_camel(piece)]
    return tuple(stem for part in pieces if (stem := terms._stem(part.lower(), code)))


def _whole_only(token: str, code: str) -> tuple[str, ...]:
    stem = terms._stem(token.lower(), code)
    return (stem,) if stem else ()


def _unstemmed(word: str, code: str) -> str:
    return "" if word in STOP_WORDS.get(code, ()) else word


VARIANTS = (
    Variant("passages of 110 tokens", sizes=Sizes(110, 150, 150)),
    Variant("passages of 400 tokens", sizes=Sizes(400, 512, 512)),
    Variant("no whole short documents", sizes=Sizes(whole=0)),
    Variant("no context header", context=False),
    Variant("title and headings x 0.5", patches=((weights, "CONTEXT_WEIGHT", 0.5),)),
    Variant("title and headings x 3", patches=((weights, "CONTEXT_WEIGHT", 3.0),)),
    Variant("no stemming", patches=((terms, "_stem", _unstemmed),)),
    Variant("codes in parts only", patches=((terms, "_terms_of_word", _parts_only),)),
    Variant("codes whole only", patches=((terms, "_terms_of_word", _whole_only),)),
    Variant("pairs of words as terms", analyse=_pairs),
    Variant("no window", patches=((ranking, "WINDOW_WEIGHT", 0.0),)),
    Variant("no pairs side by side", patches=((ranking, "PHRASE_WEIGHT", 0.0),)),
    Variant("words alone", steps=Steps(dense_weight=0.0)),
    Variant("dense weight .5", steps=Steps(dense_weight=0.5)),
    Variant("neighbours not joined", steps=Steps(join=False)),
    Variant("best other passage of the section, .1", steps=Steps(parents=0.1)),
    Variant("near-duplicates left out (cosine .95)", steps=Steps(once=0.95)),
    Variant("feedback from 3 passages (Rocchio)", steps=Steps(feedback=3)),
    Variant("feedback from 10 passages (Rocchio)", steps=Steps(feedback=10)),
    Variant("documents of one kind as any others", steps=Steps(series=False)),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A set, read."""

    asked: sets.QuestionSet
    documents: Documents
    vectors: "np.ndarray[Any, Any]"


def load(name: str, questions: int) -> Loaded | None:
    """A set by name; `squad_articles` is SQuAD with the paragraphs of each article as one document."""
    asked = sets.load("squad" if name == "squad_articles" else name, questions=questions)
    if asked is None:
        return None
    if asked.files:
        chosen = asked.questions[:: max(1, len(asked.questions) // questions)]
        asked = replace(asked, questions=chosen)
        documents = files_of(asked)
    else:
        documents = [
            (each["id"], replace(parse_plain(each["text"]), title=each.get("title") or "")) for each in asked.documents
        ]
    vectors = local_embedder.embed([text for _, text in asked.questions])
    return Loaded(asked, documents, vectors)


def articles(documents: Documents) -> tuple[Documents, dict[str, list[tuple[int, int, str]]]]:
    """Documents of one title as one, and where the single ones lie in it."""
    texts: dict[str, str] = {}
    spans: dict[str, list[tuple[int, int, str]]] = {}
    for key, parsed in documents:
        start = len(texts.get(parsed.title, ""))
        texts[parsed.title] = texts.get(parsed.title, "") + parsed.text.strip() + "\n\n"
        spans.setdefault(parsed.title, []).append((start, len(texts[parsed.title]) - 2, key))
    return [(title, replace(parse_plain(text), title=title)) for title, text in texts.items()], spans


def cuts_for(name: str, loaded: Loaded, variant: Variant) -> Cuts:
    """The passages of a set as the variant cuts them."""
    if name != "squad_articles":
        return cuts_of(loaded.documents, variant.sizes, context=variant.context)
    whole, spans = articles(loaded.documents)
    cuts = cuts_of(whole, variant.sizes, context=variant.context)
    # What a passage is worth is said of the paragraph that most of it comes from.
    found = [replace(each, external_id=_mostly(spans[each.title], each.char_from, each.char_to)) for each in cuts.found]
    return replace(cuts, found=found)


def _mostly(spans: Sequence[tuple[int, int, str]], low: int, high: int) -> str:
    return max(spans, key=lambda each: min(high, each[1]) - max(low, each[0]))[2]


@contextmanager
def applied(variant: Variant) -> Iterator[None]:
    """The variant's patches, with the words that were analysed before forgotten."""
    patches = [mock.patch.object(*each) for each in variant.patches]
    terms._known_tokens.cache_clear()
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
        terms._known_tokens.cache_clear()


def measure(name: str, loaded: Loaded, variant: Variant) -> "np.ndarray[Any, Any]":
    """The main metric of each question."""
    with applied(variant):
        cuts = cuts_for(name, loaded, variant)
        index = MemoryIndex(cuts, variant.analyse) if variant.analyse else MemoryIndex(cuts)
        limit = LIMIT_OF_FILES if loaded.asked.files else LIMIT
        values = []
        for (key, text), vector in zip(loaded.asked.questions, loaded.vectors, strict=True):
            found = index.search(text, vector, limit=limit, steps=variant.steps)
            values.append(judge(loaded.asked, key, found)[METRICS[name]])
    return np.array(values)


def main(argv: list[str]) -> int:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(prog="bench ablation", description=__doc__)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--questions", type=int, default=300, help="at most so many per set")
    parser.add_argument("--only", default="", help="variants whose name holds this")
    options = parser.parse_args(argv)
    report: dict[str, dict[str, dict[str, float]]] = {}
    for name in options.sets.split(","):
        loaded = load(name, options.questions)
        if loaded is None:
            print(f"skipped: {name} (no data under {sets.data_folder()})")
            continue
        base = measure(name, loaded, Variant("the product"))
        print(f"\n{name} {METRICS[name]}, {len(base)} questions: {base.mean():.3f}", flush=True)
        for variant in VARIANTS:
            if options.only in variant.name:
                found = interval(measure(name, loaded, variant) - base)
                report.setdefault(variant.name, {})[name] = found
                print(f"| {variant.name} | {cell(found)} |", flush=True)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


def cell(found: dict[str, float]) -> str:
    """`-.012 (-.020 to -.004)`, in bold when the interval leaves out zero."""
    shown = f"{found['mean']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
    return f"**{shown}**" if found["low"] > 0 or found["high"] < 0 else shown
