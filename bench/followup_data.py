"""Makes pronominal follow-ups from SQuAD questions: a name both turns share becomes a pronoun in the second."""

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

_NAME = re.compile(r"(?<=[a-z,] )(?:the )?[A-Z][\w'-]+(?: (?:of |the |and )*[A-Z][\w'-]+)*")


@dataclass(frozen=True)
class FollowUp:
    """Two turns: the first names what the second only points at."""

    before: str
    answer_before: str
    full: str
    pronominal: str
    source: str
    name: str


def follow_ups(
    corpus: dict[str, dict[str, str]], questions: list[dict[str, Any]], *, seed: int, count: int
) -> list[FollowUp]:
    """`count` follow-ups drawn by the seed; the name stands inside the earlier question, never in its answer."""
    rng = random.Random(seed)
    by_title: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for question in questions:
        by_title[corpus[question["source_doc"]]["title"]].append(question)
    pool = list(questions)
    rng.shuffle(pool)
    found: list[FollowUp] = []
    for question in pool:
        made = _made(question, by_title[corpus[question["source_doc"]]["title"]], rng)
        if made:
            found.append(made)
        if len(found) == count:
            break
    return found


def _made(question: dict[str, Any], others: list[dict[str, Any]], rng: random.Random) -> FollowUp | None:
    text = str(question["text"])
    match = max(_NAME.finditer(text), key=lambda found: len(found.group()), default=None)
    if match is None:
        return None
    name = re.sub(r"^the |'s$", "", match.group())
    before = [
        other
        for other in others
        if other is not question and str(other["text"]).find(name) > 0 and question["answers"][0] not in other["text"]
    ]
    if not before or any(name in answer for answer in question["answers"]):
        return None
    pronoun = "its" if match.group().endswith("'s") else "it"
    earlier = rng.choice(before)
    return FollowUp(
        before=str(earlier["text"]),
        answer_before=str(earlier["answers"][0]),
        full=text,
        pronominal=text[: match.start()] + pronoun + text[match.end() :],
        source=str(question["source_doc"]),
        name=name,
    )
