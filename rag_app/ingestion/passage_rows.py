"""The rows of `passages` in PostgreSQL's binary COPY format, made outside of the transaction that writes them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from json import dumps
from typing import Any, cast
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncConnection

from rag_app.ingestion.parsed import Cut
from rag_app.retrieval import rows as binary

_COPY = (
    "COPY passages (knowledge_base_id, id, workspace_id, document_id, version_id, cutting_id, ordinal, char_from, "
    "char_to, page_from, page_to, place, heading, context, text, language) FROM STDIN (FORMAT binary)"
)
_AT_ONCE = 500
Owner = tuple[UUID, UUID, UUID, UUID, int]
"""Knowledge base, workspace, document, version and cutting of a passage."""


def passage_records(
    owner: Owner, cuts: Sequence[Cut], *, ids: Sequence[UUID], body: str, language: str
) -> Iterator[bytes]:
    """The rows of one version, one by one."""
    knowledge_base, workspace, document, version, cutting = owner
    keys = (workspace.bytes, document.bytes, version.bytes, binary.bigint(cutting))
    code = language.encode()
    for each, passage_id in zip(cuts, ids, strict=True):
        words = body[each.char_from : each.char_to].encode()
        yield binary.record((knowledge_base.bytes, passage_id.bytes, *keys, *_of_cut(each), words, code))


def _of_cut(cut: Cut) -> tuple[bytes | None, ...]:
    pages = (None if page is None else binary.integer(page) for page in (cut.page_from, cut.page_to))
    place = b"\x01" + dumps(cut.place).encode()  # a `jsonb` begins with the number of its format
    spans = (binary.integer(each) for each in (cut.ordinal, cut.char_from, cut.char_to))
    return (*spans, *pages, place, cut.heading.encode(), cut.context.encode())


async def copy_passages(connection: AsyncConnection, records: Iterable[bytes]) -> None:
    """Write such rows."""
    driver = cast("psycopg.AsyncConnection[Any]", (await connection.get_raw_connection()).driver_connection)
    async with driver.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(binary.HEADER)
        rows = iter(records)
        while part := b"".join(islice(rows, _AT_ONCE)):
            await copy.write(part)
        await copy.write(binary.TRAILER)
