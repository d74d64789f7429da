"""Runs the migrations in one transaction, under a lock, so that several starters do not collide."""

from sqlalchemy import create_engine, text
from sqlmodel import SQLModel

import rag_app.database.conversations
import rag_app.database.edits
import rag_app.database.knowledge
import rag_app.database.people
import rag_app.database.sources
import rag_app.database.work  # noqa: F401 - the families register their tables
from alembic import context
from rag_app.database.engine import resolve_url
from rag_app.settings import get_settings

LOCK = 0x7261675F617070  # "rag_app"


def run() -> None:
    url = context.config.attributes.get("url") or resolve_url(get_settings())
    engine = create_engine(url)
    with engine.connect() as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        context.configure(connection=connection, target_metadata=SQLModel.metadata, transactional_ddl=True)
        context.run_migrations()
    engine.dispose()


run()
