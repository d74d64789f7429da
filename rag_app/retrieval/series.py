"""Documents of one kind, such as the reports of every quarter: the question's names choose, and none crowds out others.

Their passages are so alike that words and vectors hardly tell them apart. Such a series is known by its headings, not
by any list of words: most of what was found stands in documents that share headings with others that were found.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from rag_app.retrieval.candidates import Found
from rag_app.retrieval.fusion import Candidate
from rag_app.retrieval.question import Question
from rag_app.retrieval.ranking import Judged
from rag_app.retrieval.reader import Reader, uuids
from rag_app.retrieval.scope import Target
from rag_app.retrieval.terms import terms_of

LEAST_SHARE = 0.5
NAMED_WEIGHT = 0.3
"""What it counts beside a fused score 0..1 that the question names the document."""
REPEATED_WEIGHT = 0.1
"""What a passage loses for each better one from the same document; both measured in docs/retrieval.md."""
SPARE_PASSAGES = 30
"""Read beyond the limit in a series, so that there is something to choose from."""
_HEADINGS = " › "
_NO_LETTER = re.compile(r"[\W\d_]+")
_NAME = re.compile(r"\w+(?:[-.&]\w+)*")


@dataclass(frozen=True, slots=True)
class Named:
    """What tells the document of a passage apart from the others."""

    document_id: UUID
    title: str
    names: tuple[str, ...]
    language: str


def is_series(found: Sequence[Found]) -> bool:
    """Whether at least half of these passages stand in documents that share a heading with another one of them."""
    documents: dict[str, set[UUID]] = defaultdict(set)
    for each in found:
        documents[_heading(each)].add(each.document_id)
    documents.pop("", None)
    alike = {document for sharing in documents.values() if len(sharing) > 1 for document in sharing}
    return bool(alike) and sum(each.document_id in alike for each in found) >= LEAST_SHARE * len(found)


def _heading(found: Found) -> str:
    """The last heading without numbers and marks: `Note 5 – Debt` and `Note 7: Debt` are one."""
    return _NO_LETTER.sub(" ", found.heading.rsplit(_HEADINGS, 1)[-1].casefold()).strip()


async def read_named(reader: Reader, ids: Iterable[UUID], targets: Sequence[Target]) -> dict[UUID, Named]:
    """The document of each of these passages, by the passage's id."""
    values = {"kbs": uuids(target.knowledge_base_id for target in targets), "ids": uuids(ids)}
    return {row[0]: Named(row[1], row[2], tuple(row[3]), row[4]) for row in await reader.rows(_READ, values)}


def lifted(candidates: Sequence[Candidate], named: Mapping[UUID, Named], question: Question) -> list[Candidate]:
    """The candidates, best first, with fused scores 0..1 in which it counts what the question calls the document.

    A name weighs the more the fewer of the documents bear it, one that all bear nothing. When the question names none
    of them, all stays as it is.
    """
    documents = {each.document_id: each for each in named.values()}
    matched = {key: _names(each) & set(question.terms_of(each.language)) for key, each in documents.items()}
    bearing = Counter(name for names in matched.values() for name in names)
    weight = {name: math.log(len(documents) / bearers) for name, bearers in bearing.items()}
    value = {key: sum(weight[name] for name in names) for key, names in matched.items()}
    top = max(value.values(), default=0.0)
    if top <= 0:
        return list(candidates)
    share = {passage: value[each.document_id] / top for passage, each in named.items()}
    raised = [
        replace(each, fused=(each.fused + NAMED_WEIGHT * share.get(each.passage_id, 0.0)) / (1 + NAMED_WEIGHT))
        for each in candidates
    ]
    return sorted(raised, key=lambda each: (-each.fused, each.passage_id))


def _names(named: Named) -> set[str]:
    """The names as terms: those that the document goes by, and the words of its title with a capital or a digit."""
    words = [word for word in _NAME.findall(named.title) if word[0].isupper() or any(map(str.isdigit, word))]
    return set(terms_of(" ".join((*words, *named.names)), named.language))


def spread(judged: Sequence[Judged]) -> list[Judged]:
    """The same passages in the order in which each costs the later ones of its document REPEATED_WEIGHT."""
    waiting = list(judged)
    seen: Counter[UUID] = Counter()
    order: list[Judged] = []
    while waiting:
        values = [each.score - REPEATED_WEIGHT * seen[each.found.document_id] for each in waiting]
        best = waiting.pop(max(range(len(values)), key=values.__getitem__))
        order.append(replace(best, lowered=REPEATED_WEIGHT * seen[best.found.document_id]))
        seen[best.found.document_id] += 1
    return order


_READ = b"""
    SELECT p.id, d.id, d.title, v.names, p.language
    FROM passages p
    JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id
    JOIN versions v ON v.knowledge_base_id = p.knowledge_base_id AND v.id = p.version_id
    WHERE p.knowledge_base_id = ANY(CAST(%(kbs)s AS uuid[])) AND p.id = ANY(CAST(%(ids)s AS uuid[]))
"""
