"""Makes pairs of (statement, passage) from SQuAD questions and SciFact claims to measure the citation check with."""

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rag_app.chat.facts import facts_of
from rag_app.chat.sentences import split

_AUX = r"(?:is|are|was|were|can|could|will|would|should|may|might|must|has|have|had)"
_SYNONYMS = {
    "began": "started", "begin": "start", "large": "big", "however": "but", "called": "named", "many": "numerous",
    "used": "employed", "built": "constructed", "approximately": "about", "near": "close to", "although": "though",
    "while": "whereas", "often": "frequently", "main": "principal", "ended": "finished", "made": "created",
    "important": "significant", "became": "turned into", "several": "various", "also": "too", "about": "around",
    "because": "since", "shows": "demonstrates", "showed": "demonstrated", "found": "discovered", "such as": "like",
    "known as": "called", "located": "situated", "most": "the majority of", "people": "persons", "children": "kids",
}  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """One statement beside one passage, and whether the passage supports it."""

    statement: str
    passage: str
    title: str
    group: str  # article, to split by
    style: str  # how the statement was made
    kind: str  # true | other | number | name | negation
    question: str = ""


def read(path: Path) -> list[dict[str, object]]:
    """The rows of a JSON-lines file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line]


def squad(folder: Path, *, version: str = "") -> tuple[dict[str, dict[str, str]], list[dict[str, object]]]:
    """Passages by id and answerable questions."""
    corpus = {
        str(row["id"]): {"text": str(row["text"]), "title": str(row["title"])} for row in read(folder / "corpus.jsonl")
    }
    questions = [
        row for row in read(folder / f"queries{version}.jsonl") if row.get("answerable", True) and row["answers"]
    ]
    return corpus, questions


def declarative(question: str, answer: str) -> str | None:
    """A statement from question and answer by rule, None when no rule fits."""
    text = question.strip().rstrip("?").strip()
    answer = answer.strip().rstrip(".")
    rules = [
        (r"^(?:what|which)\s+(?P<v>is|was|are|were)\s+(?P<s>.+)$", "{s} {v} {a}"),
        (rf"^who\s+(?P<r>(?:{_AUX}\s+)?\w+.*)$", "{a} {r}"),
        (
            rf"^(?:what|which)\s+(?P<n>(?:\w+\s+){{0,2}}?\w+)\s+(?P<r>(?:\w+ed|{_AUX}|led|became)\s.+)$",
            "{a} {r}",
        ),
        (
            rf"^(?:when|where|(?:in|on|at) (?:what|which) \w+)\s+(?P<v>{_AUX})\s+(?P<s>.+)$",
            "{s} {v} {a}",
        ),
        (r"^(?:when|where|in (?:what|which) \w+|on (?:what|which) \w+)\s+(?:did|does|do)\s+(?P<s>.+)$", "{s} in {a}"),
        (r"^how (?:many|much)\s+(?P<n>\w+)\s+(?P<r>.+)$", "{a} {n} {r}"),
        (r"^what\s+(?:did|does|do)\s+(?P<s>.+)$", "{s} {a}"),
        (r"^(?P<s>.+?)\s+(?:what|which|who|whom)$", "{s} {a}"),
    ]
    for pattern, shape in rules:
        match = re.match(pattern, text, re.IGNORECASE)
        if match:
            made = shape.format(a=answer, **match.groupdict())
            return made[0].upper() + made[1:] + "."
    return None


def paraphrase(sentence: str) -> str:
    """The sentence said otherwise by rule: asides dropped, leading clause dropped, common words replaced."""
    text = re.sub(r"\s*\([^()]*\)", "", sentence)
    text = re.sub(r",\s+(?:which|who|where)\s[^,]+(?=[,.])", "", text)
    lead = re.match(r"^(?:In|On|At|By|During|However|Although|While|For|As|After|Since)\b[^,]{0,60},\s+(?=\w)", text)
    if lead and len(text) - lead.end() > 60:
        text = text[lead.end() :]
    for word, other in _SYNONYMS.items():
        text = re.sub(rf"\b{word}\b", other, text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text).strip()
    return text[:1].upper() + text[1:]


def statements(passage: str, question: str, answer: str) -> Iterator[tuple[str, str]]:
    """(style, statement) for what the passage says in answer to the question."""
    made = declarative(question, answer)
    if made:
        yield "question+answer", made
    gold = next((passage[s.start : s.end] for s in split(passage) if answer in passage[s.start : s.end]), None)
    if gold:
        yield "sentence", gold
        yield "paraphrase", paraphrase(gold)


def swaps(pair: Pair, others: list[Pair], rng: random.Random) -> Iterator[Pair]:
    """The statement with one number, one name or its negation changed."""
    text = pair.statement
    number = rng.choice(found) if (found := list(re.finditer(r"\d[\d.,]*\d|\d", text))) else None
    if number:
        yield replace(pair, kind="number", statement=_cut_in(text, number, _other_number(number.group(), rng)))
    names = _name_spans(text)
    pool = [name.group() for other in others if other.passage != pair.passage for name in _name_spans(other.statement)]
    pool = [name for name in pool if name not in text]
    if names and pool:
        yield replace(pair, kind="name", statement=_cut_in(text, rng.choice(names), rng.choice(pool)))
    inside = [name.group() for name in _name_spans(pair.passage) if name.group() not in text]
    if names and inside:
        yield replace(pair, kind="name inside", statement=_cut_in(text, rng.choice(names), rng.choice(inside)))
    negated = _negated(text)
    if negated:
        yield replace(pair, kind="negation", statement=negated)


def _cut_in(text: str, where: re.Match[str], new: str) -> str:
    return text[: where.start()] + new + text[where.end() :]


def _other_number(number: str, rng: random.Random) -> str:
    at = rng.choice([i for i, char in enumerate(number) if char.isdigit()])
    digit = rng.choice([str(d) for d in range(1, 10) if str(d) != number[at]])
    return number[:at] + digit + number[at + 1 :]


def _name_spans(text: str) -> list[re.Match[str]]:
    """Runs of capitalised words that do not open the text."""
    return [m for m in re.finditer(r"(?<=[a-z,] )[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*", text)]


def _negated(text: str) -> str | None:
    removed, count = re.subn(
        r"\b(is|are|was|were|can|could|did|does|do|has|have|had|will|would) not\b", r"\1", text, count=1
    )
    if count:
        return removed
    added, count = re.subn(rf"\b({_AUX})\b(?! not)", r"\1 not", text, count=1)
    return added if count else None


def squad_pairs(folder: Path, *, seed: int, count: int) -> list[Pair]:
    """`count` true pairs, as many with another passage of the same article, and the swapped ones of each kind."""
    rng = random.Random(seed)
    corpus, questions = squad(folder)
    by_title: dict[str, list[str]] = defaultdict(list)
    for key, row in corpus.items():
        by_title[row["title"]].append(key)
    rng.shuffle(questions)
    true: list[Pair] = []
    for question in questions:
        passage = corpus[str(question["source_doc"])]
        made = list(statements(passage["text"], str(question["text"]), str(question["answers"][0])))  # type: ignore[index] # JSON
        made = [each for each in made if len(facts_of(each[1], "en").terms) >= 3]
        if made:
            style, statement = rng.choice(made)
            true.append(
                Pair(
                    statement, passage["text"], passage["title"], passage["title"], style, "true", str(question["text"])
                )
            )
        if len(true) == count:
            break
    found = list(true)
    for pair in true:
        others = [key for key in by_title[pair.title] if corpus[key]["text"] != pair.passage]
        found.append(replace(pair, kind="other", passage=corpus[rng.choice(others)]["text"]))
        found.extend(swaps(pair, rng.sample(true, 40), rng))
    return found


def scifact_pairs(folder: Path, *, seed: int) -> list[Pair]:
    """Evidence sentences of SciFact said otherwise, beside their abstract and one that shares most words with them,
    swapped ones too; and the claims themselves, with the abstract that supports or contradicts them."""
    rng = random.Random(seed)
    corpus = {str(row["id"]): row for row in read(folder / "corpus.jsonl")}
    claims = {str(row["id"]): str(row["text"]) for row in read(folder / "queries.jsonl")}
    labels = json.loads((folder / "evidence_labels.json").read_text("utf-8"))
    titles = {key: set(facts_of(str(row["title"]), "en").terms) for key, row in corpus.items()}
    true: list[Pair] = []
    found: list[Pair] = []
    for claim, evidence in labels.items():
        key = evidence[0]["doc"]
        text, title = str(corpus[key]["text"]), str(corpus[key]["title"])
        spans = [span for span in split(text) if span.end - span.start > 60]
        if spans:
            span = rng.choice(spans)
            pair = Pair(paraphrase(text[span.start : span.end]), text, title, claim, "paraphrase", "true")
            near = max((other for other in corpus if other != key), key=lambda other: len(titles[other] & titles[key]))
            found.append(
                replace(pair, kind="other", passage=str(corpus[near]["text"]), title=str(corpus[near]["title"]))
            )
            true.append(pair)
        kind = "true" if evidence[0]["label"] == "SUPPORT" else "contradict"
        found.append(Pair(claims[claim], text, title, claim, "claim", f"claim {kind}"))
    swapped = [swap for pair in true for swap in swaps(pair, true, rng)]
    return [*true, *found, *swapped]
