"""Saying no: fits when passages answer a question, and reports it on other articles and other corpora."""

import argparse
import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy.ext.asyncio import AsyncEngine

from bench import retrieval_sets as sets
from bench.scratch_search import Filled, fill, scratch_engine
from rag_app.retrieval.passages import Mode, SearchResult
from rag_app.retrieval.search import search
from rag_app.retrieval.weights import HIGHEST_WEIGHT

RESULTS = Path(__file__).parent / "results" / "calibrate.json"
FOLDS = 6
RIDGE = 0.3
THRESHOLD = 0.5
FITTED_TOO = {"scifact_train": 0.12}
"""A second corpus in the fit, with its weight beside SQuAD's 1: without it the threshold knows one kind of question."""
SMALL = "squad, small knowledge bases"
SMALL_EACH = 12
ANSWER_FEATURES = ("bm25_share", "idf_coverage", "cosine", "margin", "window", "phrases")
MODES: tuple[Mode, ...] = ("hybrid", "lexical")

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class Case:
    """One question asked of one knowledge base."""

    group: str
    fit: bool
    answerable: bool
    result: SearchResult
    relevant: frozenset[str]


def article_folds(asked: sets.QuestionSet) -> tuple[list[set[str]], set[str]]:
    """Six parts of the articles, each left out once, and the half of them whose questions the weights are fitted on."""
    articles = sorted({document["title"] for document in asked.documents})
    random.Random(7).shuffle(articles)
    return [set(articles[start::FOLDS]) for start in range(FOLDS)], set(
        random.Random(8).sample(articles, len(articles) // 2)
    )


def foreign_questions(*, fit: bool) -> sets.QuestionSet | None:
    """Questions that no other corpus answers, from the articles that are fitted on or from the others."""
    asked = sets.load("squad")
    if asked is None:
        return None
    title = {document["id"]: document["title"] for document in asked.documents}
    fitted_articles = article_folds(asked)[1]
    chosen = [
        each for each in asked.questions if (title[next(iter(asked.relevant[each[0]]))] in fitted_articles) == fit
    ]
    return replace(asked, questions=random.Random(1).sample(chosen, 200))


@dataclass(frozen=True, slots=True)
class Asking:
    """Asks questions in both modes and keeps the cases."""

    engine: AsyncEngine
    cases: dict[Mode, list[Case]]

    async def ask(
        self, made: Filled, group: str, asked: sets.QuestionSet, labels: dict[str, tuple[bool, bool]]
    ) -> None:
        """Ask the questions that have a label: (is it for the fit, is it answerable)."""
        for key, text in asked.questions:
            if key in labels:
                fit, answerable = labels[key]
                for mode in MODES:
                    result = await search(self.engine, text, made.scope(limit=10, mode=mode))
                    self.cases[mode].append(Case(group, fit, answerable, result, frozenset(asked.relevant[key])))


async def left_out_articles(asking: Asking, per_fold: int) -> None:
    """SQuAD with one article in six left out: questions about what is there, and about what is not."""
    asked = sets.load("squad")
    if asked is None:
        return
    title = {document["id"]: document["title"] for document in asked.documents}
    article = {key: title[next(iter(asked.relevant[key]))] for key, _ in asked.questions}
    folds, fitted_articles = article_folds(asked)
    for number, out in enumerate(folds):
        kept = [document for document in asked.documents if document["title"] not in out]
        made = await fill(asking.engine, kept, name=f"calibrate {number}")
        shuffled = [key for key, _ in random.Random(number).sample(asked.questions, len(asked.questions))]
        there = [key for key in shuffled if article[key] not in out][:per_fold]
        missing = [key for key in shuffled if article[key] in out][:per_fold]
        labels = {key: (article[key] in fitted_articles, article[key] not in out) for key in there + missing}
        await asking.ask(made, "squad", asked, labels)
        print(f"  fold {number + 1} of {FOLDS}", flush=True)


async def small_bases(asking: Asking) -> None:
    """Each article of SQuAD a knowledge base of its own, without every fourth of its passages.

    It cannot answer questions on those passages, nor questions from other articles.
    """
    asked = sets.load("squad")
    if asked is None:
        return
    title = {document["id"]: document["title"] for document in asked.documents}
    source = {key: next(iter(asked.relevant[key])) for key, _ in asked.questions}
    fitted_articles = article_folds(asked)[1]
    for number, article in enumerate(sorted(set(title.values()))):
        documents = [document for document in asked.documents if document["title"] == article]
        gone = {document["id"] for document in documents[::4]}
        kept = [document for document in documents if document["id"] not in gone]
        made = await fill(asking.engine, kept, name=f"calibrate small {number}")
        shuffled = [key for key, _ in random.Random(number).sample(asked.questions, len(asked.questions))]
        mine = [key for key in shuffled if title[source[key]] == article]
        there = [key for key in mine if source[key] not in gone][:SMALL_EACH]
        missing = [key for key in mine if source[key] in gone][: SMALL_EACH // 3]
        foreign = [key for key in shuffled if title[source[key]] != article][: SMALL_EACH - len(missing)]
        fit = article in fitted_articles
        labels = {key: (fit, key in set(there)) for key in there + missing + foreign}
        await asking.ask(made, SMALL, asked, labels)
    print("  small knowledge bases", flush=True)


async def other_corpora(asking: Asking) -> None:
    """Corpora with their own questions against foreign ones, and with some of their documents left out."""
    for name in ("scifact_train", "scifact", "claude_docs"):
        fit = name in FITTED_TOO
        asked, foreign = sets.load(name, questions=200), foreign_questions(fit=fit)
        if asked is None or foreign is None:
            continue
        made = await fill(asking.engine, asked.documents, name=f"calibrate {name}")
        await asking.ask(made, f"{name}, foreign questions", asked, {key: (fit, True) for key, _ in asked.questions})
        await asking.ask(
            made, f"{name}, foreign questions", foreign, {key: (fit, False) for key, _ in foreign.questions}
        )
        print(f"  {name}", flush=True)
        if not fit:
            await documents_left_out(asking, name, asked)


async def documents_left_out(asking: Asking, name: str, asked: sets.QuestionSet) -> None:
    """The documents that answer every second question are gone, their siblings stay."""
    gone = {document for key, _ in asked.questions[::2] for document in asked.relevant[key]}
    kept = [document for document in asked.documents if document["id"] not in gone]
    made = await fill(asking.engine, kept, name=f"calibrate {name} without")
    clear = {key: asked.relevant[key].keys() for key, _ in asked.questions}
    labels = {key: (False, not gone & wanted) for key, wanted in clear.items() if not gone & wanted or gone >= wanted}
    await asking.ask(made, f"{name}, documents left out", asked, labels)


def features(cases: Sequence[Case], names: Sequence[str]) -> Array:
    """One row per case."""
    return np.array([[getattr(case.result.evidence, name) for name in names] for case in cases])


def fit_logistic(x: Array, y: Array, weight: Array) -> Array:
    """Bias and weights of a logistic regression with a small ridge, by Newton's method."""
    x = np.column_stack([np.ones(len(x)), x])
    ridge = np.diag([0.0] + [RIDGE] * (x.shape[1] - 1))
    theta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ theta))
        gradient = x.T @ (weight * (p - y)) + ridge @ theta
        curvature = (x * (weight * p * (1 - p))[:, None]).T @ x + ridge
        theta = theta - np.linalg.solve(curvature, gradient)
    return theta


def probability(theta: Array, x: Array, shift: Array | float = 0.0) -> Array:
    """What the logistic regression says, its logit shifted."""
    found: Array = 1 / (1 + np.exp(-(theta[0] + x @ theta[1:] + shift)))
    return found


def balanced(y: Array) -> Array:
    """Weights that give both classes the same say."""
    found: Array = np.where(y > 0, 0.5 / y.mean(), 0.5 / (1 - y.mean()))
    return found


def case_weights(cases: Sequence[Case], y: Array) -> Array:
    """Both answers weigh the same within a group, and each group as much as it should."""
    groups = np.array([case.group.split(",")[0] for case in cases])
    weights = np.zeros(len(cases))
    for group in set(groups):
        inside = groups == group
        weights[inside] = balanced(y[inside]) / inside.sum() * FITTED_TOO.get(group, 1.0)
    total: Array = weights / weights.sum() * len(cases)
    return total


def report(p: Array, y: Array) -> dict[str, float]:
    """Balanced accuracy at THRESHOLD, both error rates, and the area under the curve."""
    yes, no = p[y > 0], p[y == 0]
    order = np.argsort(np.concatenate([no, yes]), kind="stable")
    places = np.empty(len(order))
    places[order] = np.arange(1, len(order) + 1)
    auc = (places[len(no) :].sum() - len(yes) * (len(yes) + 1) / 2) / (len(yes) * len(no))
    wrong_no, wrong_yes = float((yes < THRESHOLD).mean()), float((no >= THRESHOLD).mean())
    found = {"balanced_accuracy": 1 - (wrong_no + wrong_yes) / 2, "wrongly_no": wrong_no, "wrongly_yes": wrong_yes}
    return {name: round(value, 4) for name, value in {**found, "auc": float(auc)}.items()} | {"questions": len(y)}


def passage_rows(cases: Sequence[Case], *, cosine: bool) -> tuple[Array, Array]:
    """Features and labels of single passages: is this one of those that were meant?"""
    rows, labels = [], []
    for case in cases:
        best = HIGHEST_WEIGHT * sum(case.result.idf.values())
        for passage in case.result.passages:
            row = [min(1.0, passage.bm25 / best) if best else 0.0, passage.fused]
            rows.append([row[0], passage.cosine or 0.0, row[1]] if cosine else row)
            labels.append(case.answerable and passage.external_id in case.relevant)
    return np.array(rows), np.array(labels, dtype=float)


def fitted(cases: Sequence[Case], mode: Mode) -> dict[str, Any]:
    """Weights from the fitting articles, and what they do elsewhere."""
    with_cosine = mode != "lexical"
    names = [name for name in ANSWER_FEATURES if with_cosine or name != "cosine"]
    mine = [case for case in cases if case.fit and case.group != SMALL]
    y = np.array([case.answerable for case in mine], dtype=float)
    theta = fit_logistic(features(mine, names), y, case_weights(mine, y))
    small = smallness_weight(theta, [case for case in cases if case.fit and case.group == SMALL], names)
    x, labels = passage_rows([case for case in mine if case.group == "squad"], cosine=with_cosine)
    passage_theta = fit_logistic(x, labels, np.ones(len(labels)))
    columns = ("bm25_share", "cosine", "fused") if with_cosine else ("bm25_share", "fused")
    found: dict[str, Any] = {
        "answer": dict(zip(("bias", *names), np.round(theta, 2).tolist(), strict=True)) | {"smallness": small},
        "passage": dict(zip(("bias", *columns), np.round(passage_theta, 2).tolist(), strict=True)),
        "groups": {},
    }
    for group in dict.fromkeys(case.group for case in cases):
        others = [case for case in cases if case.group == group and not case.fit]
        if not others:
            continue
        truth = np.array([case.answerable for case in others], dtype=float)
        found["groups"][group] = report(with_size(theta, small, others, names), truth)
        as_built = np.array([case.result.evidence.answerable for case in others])
        found["groups"][group]["as_built"] = report(as_built, truth)["balanced_accuracy"]
    test_x, test_y = passage_rows(
        [case for case in cases if case.group == "squad" and not case.fit], cosine=with_cosine
    )
    found["passage_calibration"] = reliability(probability(passage_theta, test_x), test_y)
    return found


def with_size(theta: Array, weight: float, cases: Sequence[Case], names: Sequence[str]) -> Array:
    """What the logistic regression says, with the size of the knowledge base."""
    shift = weight * features(cases, ["smallness"])[:, 0]
    return probability(theta, features(cases, names), shift)


def smallness_weight(theta: Array, cases: Sequence[Case], names: Sequence[str]) -> float:
    """The weight, in tenths, under which small knowledge bases are judged most likely; the other weights stay."""
    if not cases:
        return 0.0
    y = np.array([case.answerable for case in cases], dtype=float)

    def likelihood(weight: float) -> float:
        p = np.clip(with_size(theta, weight, cases, names), 1e-6, 1 - 1e-6)
        return float((balanced(y) * np.log(np.where(y > 0, p, 1 - p))).sum())

    return max((tenth / 10 for tenth in range(21)), key=likelihood)


def reliability(p: Array, y: Array) -> dict[str, list[float]]:
    """Stated and true share per tenth of the scale."""
    table = {}
    for low in range(10):
        inside = (p >= low / 10) & (p < (low + 1) / 10)
        if inside.sum() >= 20:
            table[f"{low / 10:.1f}"] = [round(float(p[inside].mean()), 3), round(float(y[inside].mean()), 3)]
    return table


async def run(per_fold: int, url: str | None) -> dict[str, Any]:
    """Everything, with both legs and with words alone."""
    async with scratch_engine(url) as engine:
        asking = Asking(engine, {mode: [] for mode in MODES})
        await left_out_articles(asking, per_fold)
        await small_bases(asking)
        await other_corpora(asking)
    return {mode: fitted(cases, mode) for mode, cases in asking.cases.items() if cases}


def main(argv: list[str]) -> int:
    """Fit, print the constants for rag_app/retrieval/evidence.py and what they are worth."""
    parser = argparse.ArgumentParser(prog="bench calibrate", description=__doc__)
    parser.add_argument("--per-fold", type=int, default=250, help="questions of each kind per fold")
    parser.add_argument("--database", help="a database with the schema, instead of a scratch one")
    options = parser.parse_args(argv)
    found = asyncio.run(run(options.per_fold, options.database))
    if not found:
        print(f"skipped: no data under {sets.data_folder()}")
    for mode, figures in found.items():
        print(f"{mode}: answer {figures['answer']}\n{mode}: passage {figures['passage']}")
        for group, row in figures["groups"].items():
            print(f"  {group:32} {row}")
        print(f"  said and true: {figures['passage_calibration']}")
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0
