"""Column types and defaults that all tables share."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import uuid_utils
from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field


def new_id() -> UUID:
    """A UUIDv7: ordered by time, so that indexes stay compact."""
    return UUID(int=uuid_utils.uuid7().int)


def now() -> datetime:
    """The present moment in UTC."""
    return datetime.now(UTC)


def id_field() -> Any:
    """Primary key filled with a UUIDv7."""
    return Field(default_factory=new_id, primary_key=True)


def moment(*, default: bool = True, index: bool = False) -> Any:
    """A timestamp with time zone; filled with the present moment unless `default` is False (then nullable)."""
    if default:
        return Field(default_factory=now, sa_type=DateTime(timezone=True), nullable=False, index=index)
    return Field(default=None, sa_type=DateTime(timezone=True), nullable=True, index=index)


def json_field(kind: type = dict) -> Any:
    """A JSONB column, empty by default."""
    return Field(default_factory=kind, sa_type=JSONB, nullable=False)
