"""Reads the passages that the search has chosen, with everything that evidence and the answer need."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any
from uuid import UUID

from rag_app.retrieval.places import Place
from rag_app.retrieval.question import Question
from rag_app.retrieval.reader import Reader, integers, uuids
from rag_app.retrieval.scope import ACCESS, Scope, Target, access_values


@dataclass(frozen=True, slots=True)
class Found:
    """A passage with everything that evidence and the answer need."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    version_id: UUID
    ordinal: int
    external_id: str | None
    title: str
    url: str | None
    text: str
    heading: str
    page_from: int | None
    page_to: int | None
    char_from: int
    char_to: int
    place: Place
    language: str
    stems: frozenset[str]  # those of the question that stand in it


async def read_passages(
    reader: Reader, ids: Iterable[UUID], *, question: Question, targets: Sequence[Target], scope: Scope
) -> dict[UUID, Found]:
    """Those passages that this person may see and whose documents are not deleted."""
    values: dict[str, Any] = access_values(scope) | {
        "kbs": uuids(target.knowledge_base_id for target in targets),
        "cuttings": integers(target.cutting_id for target in targets),
        "ids": uuids(ids),
        "asked": integers(question.hashes),
    }
    return {row[0]: _found(row, question) for row in await reader.rows(_READ, values)}


def _found(row: Sequence[Any], question: Question) -> Found:
    fields = list(row)
    fields[-1] = frozenset([question.hashes[number] for number in fields[-1]])
    fields[_PLACE] = fields[_PLACE] or {}
    return Found(*fields)


_PLACE = [each.name for each in dataclass_fields(Found)].index("place")
# The columns in the order of the fields of Found. Most places are empty, and reading JSON takes its time.
_READ = f"""
    SELECT p.id, p.knowledge_base_id, p.document_id, p.version_id, p.ordinal, d.external_id, d.title, d.url, p.text,
           p.heading, p.page_from, p.page_to, p.char_from, p.char_to, nullif(p.place, '{{}}'),
           coalesce(l.language, p.language) AS language,
           ARRAY(SELECT asked FROM unnest(CAST(%(asked)s AS integer[])) AS asked WHERE asked = ANY(l.terms)) AS asked
    FROM passages p
    JOIN knowledge_bases k ON k.id = p.knowledge_base_id
    JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id
    LEFT JOIN lexical l ON l.knowledge_base_id = p.knowledge_base_id AND l.passage_id = p.id
    WHERE p.knowledge_base_id = ANY(CAST(%(kbs)s AS uuid[])) AND p.id = ANY(CAST(%(ids)s AS uuid[]))
      AND p.cutting_id = (CAST(%(cuttings)s AS bigint[]))[
          array_position(CAST(%(kbs)s AS uuid[]), p.knowledge_base_id)]
      AND d.deleted_at IS NULL AND {ACCESS}
""".encode()  # noqa: S608 -- ACCESS is a constant with bound parameters
