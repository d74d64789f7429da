"""Looks at everything the server depends on; each line says ok, warning or failed, with the fix."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.migration import newest_revision
from rag_app.errors import RagError
from rag_app.ingestion.recognition import is_installed
from rag_app.jobs.queue import live_workers, waiting_jobs
from rag_app.providers.credentials import route_to
from rag_app.providers.embeddings import is_local
from rag_app.services.context import Context
from rag_app.services.embedding import workspace_keyring

State = Literal["ok", "warning", "failed"]
SAFE_PGVECTOR = (0, 8, 7)
LEAST_FREE_BYTES = 1_000_000_000
LOCAL_CHAT = "local/extractive"

_STUCK = (
    "SELECT count(*) FROM versions WHERE state IN ('queued', 'working') AND updated_at < now() - interval '10 minutes'"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    subject: str
    state: State
    message: str


async def examine(context: Context) -> AsyncIterator[Finding]:
    """The findings, one after the other."""
    async with context.transaction() as session:
        yield await _postgres(session)
        yield await _pgvector(session, is_embedded=context.settings.embedded)
        yield await _pooler(session)
        yield await _schema(session)
        yield await _workers(session)
        yield await _documents(session)
    yield await _disk(context)
    yield _ocr()
    yield _address(context)
    for name in context.settings.without_effect:
        yield Finding("settings", "warning", f"{name} has no effect yet; leave it empty")
    async for finding in _models(context):
        yield finding


async def _one(session: AsyncSession, sql: str) -> Any:
    return (await session.execute(text(sql))).scalar_one_or_none()


async def _postgres(session: AsyncSession) -> Finding:
    version = await _one(session, "SHOW server_version")
    if await _one(session, "SHOW fsync") != "on" or await _one(session, "SHOW full_page_writes") != "on":
        return Finding("database", "failed", f"PostgreSQL {version}: a power cut loses documents; set fsync = on")
    return Finding("database", "ok", f"PostgreSQL {version}")


async def _pgvector(session: AsyncSession, *, is_embedded: bool) -> Finding:
    version = str(await _one(session, "SELECT extversion FROM pg_extension WHERE extname = 'vector'"))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if numbers < SAFE_PGVECTOR and not is_embedded:
        hint = "0.8.7 mends faults in index builds; update the extension on the database server when you can."
        return Finding("pgvector", "warning", f"{version}: {hint}")
    return Finding("pgvector", "ok", version)


async def _pooler(session: AsyncSession) -> Finding:
    first = await _one(session, "SELECT pg_backend_pid()")
    name = await _one(session, "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    if first != await _one(session, "SELECT pg_backend_pid()") or "pgbouncer" in str(name).lower():
        return Finding("pooler", "failed", "A transaction pooler is in the way: set RAG_DATABASE_DIRECT_URL.")
    return Finding("pooler", "ok", "direct connection")


async def _schema(session: AsyncSession) -> Finding:
    revision = await _one(session, "SELECT version_num FROM alembic_version")
    if revision != newest_revision():
        return Finding("schema", "failed", f"at {revision}, not {newest_revision()}: run `python -m rag_app migrate`")
    return Finding("schema", "ok", f"revision {revision}")


async def _workers(session: AsyncSession) -> Finding:
    workers, waiting = await live_workers(session), await waiting_jobs(session)
    if workers == 0:
        fix = "start `up`, or `python -m rag_app worker`"
        return Finding("workers", "failed", f"none is running, {waiting} jobs wait: {fix}")
    return Finding("workers", "ok", f"{workers} running, {waiting} jobs wait or run")


async def _documents(session: AsyncSession) -> Finding:
    stuck = await _one(session, _STUCK)
    failed = await _one(session, "SELECT count(*) FROM versions WHERE state = 'failed'")
    if stuck:
        return Finding("documents", "warning", f"{stuck} have not moved for ten minutes")
    return Finding("documents", "ok", f"none is stuck, {failed} failed with a reason")


async def _disk(context: Context) -> Finding:
    free = await context.files.free_bytes()
    shown = f"{free / 1e9:.1f} GB free for originals"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", "warning", f"{shown}: make room, or uploads will be refused")
    return Finding("disk", "ok", shown)


def _ocr() -> Finding:
    if is_installed():
        return Finding("ocr", "ok", "installed: scanned pages are read")
    return Finding("ocr", "ok", "not installed (optional): scanned pages are named and left out; scripts/install ocr")


def _address(context: Context) -> Finding:
    settings = context.settings
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not settings.public_url.startswith("https://"):
        return Finding("address", "warning", f"listens on {settings.host} without https: put a proxy with TLS in front")
    return Finding("address", "ok", settings.public_url or f"http://{settings.host}:{settings.port}")


async def _models(context: Context) -> AsyncIterator[Finding]:
    async with context.transaction() as session:
        rows = (await session.execute(text("SELECT id, name, default_chat_model FROM workspaces"))).all()
    if not rows:
        yield Finding("workspace", "warning", "nobody has been set up yet: open the setup link that `up` prints")
    for row in rows:
        model = row.default_chat_model or context.settings.chat_model
        if model == LOCAL_CHAT or is_local(model):
            yield Finding("chat model", "ok", f"{model} (no model provider is needed)")
            continue
        try:
            route_to(model, await workspace_keyring(context, row.id))
        except RagError as problem:
            yield Finding("chat model", "failed", f"{model}: {problem.message}")
        else:
            yield Finding("chat model", "ok", model)
