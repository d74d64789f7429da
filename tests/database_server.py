"""The Postgres server the tests run on, and the databases cloned in it."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from rag_app.database import migration
from rag_app.database.embedded import EmbeddedPostgres

TEMPLATE = "rag_template"


@contextmanager
def running_server() -> Iterator[str]:
    """The product's own embedded Postgres without durability. Yields the URL of its `postgres` database."""
    folder = Path(tempfile.mkdtemp(prefix="rag-tests-"))
    server = EmbeddedPostgres(folder, durable=False)
    try:
        yield url_of(server.start(), "postgres")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def conninfo(url: str) -> str:
    """The URL as libpq reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def url_of(server_url: str, database: str) -> str:
    """The URL of another database on the same server."""
    return make_url(server_url).set(database=database).render_as_string(hide_password=False)


def make_template(server_url: str) -> None:
    """Create the database that all others are cloned from, with the product's own migrations."""
    _run(server_url, "CREATE DATABASE {name}", TEMPLATE)
    url = url_of(server_url, TEMPLATE)
    migration.upgrade(url)
    # A database is cloned only while nobody is connected to it.
    _run(server_url, "ALTER DATABASE {name} ALLOW_CONNECTIONS false", TEMPLATE)
    with psycopg.connect(conninfo(server_url), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (TEMPLATE,))


def clone(server_url: str) -> str:
    """A new database with an empty schema. Returns its URL."""
    name = f"rag_test_{secrets.token_hex(6)}"
    # Nothing here needs to survive a crash, so copying files is a quarter of the work of writing every page to the log.
    _run(server_url, f"CREATE DATABASE {{name}} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY", name)
    return url_of(server_url, name)


def drop(server_url: str, url: str) -> None:
    """Remove a cloned database, also when somebody is still connected."""
    _run(server_url, "DROP DATABASE IF EXISTS {name} WITH (FORCE)", str(make_url(url).database))


def _run(server_url: str, statement: str, name: str) -> None:
    with psycopg.connect(conninfo(server_url), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(name=sql.Identifier(name)))
