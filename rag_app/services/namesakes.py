"""What tells documents of one title apart: where they stand, as what file they came, or when."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

from sqlalchemy import text

from rag_app.services.context import Context
from rag_app.services.knowledge import VISIBLE, visibility
from rag_app.services.permissions import Actor, permit

_DOCUMENTS = text(f"""
SELECT d.id, d.title, coalesce(d.metadata->>'path', '') AS path, coalesce(d.url, '') AS url,
       coalesce(v.filename, '') AS filename, k.name AS knowledge_base, d.created_at
FROM documents d JOIN knowledge_bases k ON k.id = d.knowledge_base_id
LEFT JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id
     AND v.id = coalesce(d.active_version_id, d.latest_version_id)
WHERE d.id = ANY(:ids) AND d.deleted_at IS NULL AND {VISIBLE}
""")  # noqa: S608 - made of constants


@dataclass(frozen=True, slots=True)
class Named:
    """A document as far as it can be told from another one."""

    id: UUID
    title: str
    path: str
    url: str
    filename: str
    knowledge_base: str
    created_at: datetime


async def told_apart(context: Context, actor: Actor, documents: Sequence[UUID]) -> dict[UUID, str]:
    """For those of these documents whose title others of them have, too: what tells them apart."""
    permit(actor, "chat")
    async with context.transaction() as session:
        found = await session.execute(_DOCUMENTS, {**visibility(actor), "ids": list(documents)})
        rows = [Named(**row) for row in found.mappings()]
    by_title: dict[str, list[Named]] = defaultdict(list)
    for row in rows:
        by_title[row.title].append(row)
    return {key: sign for same in by_title.values() if len(same) > 1 for key, sign in signs(same).items()}


def signs(same: Sequence[Named]) -> dict[UUID, str]:
    """For documents of one title the first things that differ, as many as tell all of them apart. Pure."""
    shown = [""] * len(same)
    for look in _LOOKS:
        values = look(same)
        if len(set(values)) > 1:
            shown = [" · ".join(filter(None, pair)) for pair in zip(shown, values, strict=True)]
        if len(set(shown)) == len(same) and all(shown):
            break
    return {each.id: sign for each, sign in zip(same, shown, strict=True)}


def _places(same: Sequence[Named]) -> list[str]:
    """Paths and addresses from where they part, the host only where it is not the same; else names of files."""
    split = [("", each.path) if each.path else _address(each.url) for each in same]
    hosts = {host for host, _ in split}
    trails = [([host] if len(hosts) > 1 and host else []) + path.strip("/").split("/") for host, path in split]
    folders = zip(*(trail[:-1] for trail in trails), strict=False)
    shared = sum(1 for _ in takewhile(lambda step: len(set(step)) == 1, folders))
    found = ["/".join(trail[shared:]) or ("/" if path else "") for trail, (_, path) in zip(trails, split, strict=True)]
    return [place or each.filename for place, each in zip(found, same, strict=True)]


def _address(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    path = unquote(parts.path) or ("/" if url else "")
    return parts.netloc, f"{path}?{parts.query}" if parts.query else path


def _files(same: Sequence[Named]) -> list[str]:
    return [each.filename for each in same]


def _bases(same: Sequence[Named]) -> list[str]:
    return [each.knowledge_base for each in same]


def _moments(same: Sequence[Named]) -> list[str]:
    days = [f"added {each.created_at:%-d %B %Y}" for each in same]
    return days if len(set(days)) == len(same) else [f"added {each.created_at:%-d %B %Y, %H:%M:%S}" for each in same]


_LOOKS: Final[tuple[Callable[[Sequence[Named]], list[str]], ...]] = (_places, _files, _bases, _moments)
