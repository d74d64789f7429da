"""Writes documents of which nothing is known yet: each with its first version and its task, all in one statement."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import new_id


class Owner(Protocol):
    """For whom documents are written: an actor, or who had added what they were found in."""

    @property
    def workspace_id(self) -> UUID:
        """Where they belong."""

    @property
    def user_id(self) -> UUID | None:
        """Who is said to have added them."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a new version is made of."""

    kind: str
    title: str
    filename: str
    media_type: str
    sha256: bytes | None
    byte_count: int
    original_key: str | None = None
    original_offset: int = 0
    external_id: str | None = None
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    document_id: UUID | None = None  # it is a new version of this document, whatever its external id
    adopts: bool = False  # a file with the same bytes and no external id is this document


@dataclass(frozen=True, slots=True)
class Written:
    """The rows of a new document."""

    document_id: UUID
    version_id: UUID
    task_id: UUID


async def write_new(
    session: AsyncSession, owner: Owner, knowledge_base_id: UUID, contents: Sequence[Content]
) -> list[Written]:
    """Write them, in order. That none of them is known must have been made sure of under `lock_identities`."""
    written = [Written(new_id(), new_id(), new_id()) for _ in contents]
    if not written:
        return []
    rows = json.dumps([_row(*pair) for pair in zip(contents, written, strict=True)], default=str)
    ours = {"kb": knowledge_base_id, "workspace": owner.workspace_id, "user": owner.user_id}
    await session.execute(_WRITE, {**ours, "rows": rows})
    return written


def _row(content: Content, written: Written) -> dict[str, Any]:
    return {
        "document": written.document_id,
        "version": written.version_id,
        "task": written.task_id,
        "kind": content.kind,
        "external_id": content.external_id,
        "title": content.title,
        "url": content.url,
        "metadata": dict(content.metadata),
        "filename": content.filename,
        "media_type": content.media_type,
        "byte_count": content.byte_count,
        "sha256": content.sha256.hex() if content.sha256 is not None else None,
        "original_key": content.original_key,
        "original_offset": content.original_offset,
    }


# One parameter and one round trip, however many there are: a statement per row costs ten times as much.
_WRITE = text(
    """
WITH r AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r (
        document uuid, version uuid, task uuid, kind text, external_id text, title text, url text, metadata jsonb,
        filename text, media_type text, byte_count bigint, sha256 text, original_key text, original_offset bigint)
), d AS (
    INSERT INTO documents (knowledge_base_id, id, workspace_id, kind, external_id, title, url, metadata,
                           latest_version_id, created_by, created_at, updated_at)
    SELECT :kb, document, :workspace, kind, external_id, title, url, metadata, version, CAST(:user AS uuid),
           clock_timestamp(), clock_timestamp()
    FROM r
), v AS (
    INSERT INTO versions (knowledge_base_id, id, document_id, workspace_id, number, state, progress, attempt, failures,
                          filename, media_type, byte_count, sha256, original_key, original_offset, title, language,
                          pages, blocks, places, cuts, cutting_id, passage_count, created_by, warnings, names,
                          created_at, updated_at)
    SELECT :kb, version, document, :workspace, 1, 'queued', 0, 0, 0, filename, media_type, byte_count,
           decode(sha256, 'hex'), original_key, original_offset, title, '', '[]', '[]', '[]', '[]', 0, 0,
           CAST(:user AS uuid), '[]', '[]', clock_timestamp(), clock_timestamp()
    FROM r
)
INSERT INTO tasks (id, workspace_id, kind, status, progress, result, knowledge_base_id, document_id, version_id,
                   created_by, created_at)
SELECT task, :workspace, 'ingest', 'queued', 0, '{}', :kb, document, version, CAST(:user AS uuid), clock_timestamp()
FROM r
"""
)
