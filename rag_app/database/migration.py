"""Brings the schema up to date with plain Alembic."""

import re
from pathlib import Path

import psycopg

from rag_app.database.engine import with_driver, without_driver
from rag_app.errors import StartError

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ROOT / "alembic" / "versions"
OLDEST_POSTGRES = 160000
OLDEST_PGVECTOR = (0, 8, 3)


def newest_revision() -> str:
    """The newest revision on disk, found without importing Alembic (a start must stay quick)."""
    revisions, parents = set(), set()
    for path in VERSIONS.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        revisions |= set(re.findall(r'^revision(?:: str)? = "(\w+)"', source, re.MULTILINE))
        parents |= set(re.findall(r'^down_revision[^=]*= "(\w+)"', source, re.MULTILINE))
    (head,) = revisions - parents
    return str(head)


def current_revision(url: str) -> str | None:
    """The revision of a database, None = empty."""
    with psycopg.connect(without_driver(url), connect_timeout=5) as connection:
        found = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        if not found or not found[0]:
            return None
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return row[0] if row else None


def upgrade(url: str) -> None:
    """Bring a database to the newest revision; several callers at once are safe.

    Raises StartError with the fix when Postgres or pgvector is too old or missing.
    """
    check_database(url)
    if current_revision(url) == newest_revision():
        return
    from alembic.config import Config

    from alembic import command  # imported only when there is work to do

    config = Config(ROOT / "alembic.ini")
    config.attributes["url"] = with_driver(url)
    command.upgrade(config, "head")


def check_database(url: str) -> None:
    """Raises StartError when Postgres is older than 16 or pgvector than 0.8.3, or cannot be had."""
    try:
        with psycopg.connect(without_driver(url), connect_timeout=5, autocommit=True) as connection:
            _check_versions(connection)
    except psycopg.OperationalError as problem:
        raise StartError(f"The database cannot be reached: {str(problem).strip().splitlines()[-1]}") from problem


def _check_versions(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    if connection.info.server_version < OLDEST_POSTGRES:
        raise StartError(f"PostgreSQL {connection.info.server_version // 10000} is too old: use 16 or later.")
    row = connection.execute(
        "SELECT coalesce((SELECT extversion FROM pg_extension WHERE extname = 'vector'), "
        "(SELECT default_version FROM pg_available_extensions WHERE name = 'vector'))"
    ).fetchone()
    version = str(row[0]) if row and row[0] else ""
    if not version:
        raise StartError("The database lacks pgvector: install the extension `vector` 0.8.3 or later on its server.")
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_PGVECTOR:
        raise StartError(f"pgvector {version} is too old: install 0.8.3 or later, then ALTER EXTENSION vector UPDATE.")
