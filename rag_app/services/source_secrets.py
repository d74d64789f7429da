"""Secrets of sources: tokens of repositories and keys of buckets. Sealed to their row; written, never shown again."""

import json
from collections.abc import Mapping
from uuid import UUID

from rag_app.errors import InvalidInput, SettingsError
from rag_app.security import KeyRing
from rag_app.services.source_settings import SourceSettings, bucket_of

LONGEST_SECRET = 1_000
# kind -> its fields; a source has all those that it needs, or none.
FIELDS: dict[str, tuple[str, ...]] = {"git": ("token", "user"), "s3": ("access_key", "secret_key")}
NEEDED: dict[str, tuple[str, ...]] = {"git": ("token",), "s3": ("access_key", "secret_key")}


def clean_secret(kind: str, given: Mapping[str, str]) -> dict[str, str]:
    """The fields that were filled in. Raises InvalidInput when they do not fit the kind or each other."""
    values = {name: value.strip() for name, value in given.items() if value.strip()}
    for name, value in values.items():
        if name not in FIELDS.get(kind, ()):
            raise InvalidInput(f"{name}: a source of kind {kind} has none", field=name)
        if len(value) > LONGEST_SECRET or not value.isascii() or not value.isprintable() or " " in value:
            raise InvalidInput(f"{name}: at most {LONGEST_SECRET} plain characters without spaces", field=name)
    missing = [name for name in NEEDED.get(kind, ()) if name not in values]
    if values and missing:
        raise InvalidInput(f"{missing[0]}: it is missing", field=missing[0])
    if ":" in values.get("user", ""):
        raise InvalidInput("user: a name without a colon is expected", field="user")
    return values


def refuse_strange_place(kind: str, before: tuple[str, SourceSettings], after: tuple[str, SourceSettings]) -> None:
    """A secret opens only what it was entered for: whoever moves a source elsewhere enters it anew.

    Before and after are address and settings of a source that has a secret. Raises InvalidInput.
    """
    if kind == "s3":
        old, new = (bucket_of(*each)[0] for each in (before, after))
        if (old.name, old.endpoint) != (new.name, new.endpoint):
            what, field = ("bucket", "address") if old.endpoint == new.endpoint else ("endpoint", "endpoint")
            raise InvalidInput(f"secret_key: enter the keys again, for they were meant for another {what}", field=field)
    elif before[0] != after[0]:
        raise InvalidInput("token: enter it again, for it was meant for another repository", field="address")


def named_secret(kind: str, user: str, secret: str) -> dict[str, str]:
    """The fields of a kind from a name and a secret, as a command line takes them."""
    names = ("access_key", "secret_key") if kind == "s3" else ("user", "token")
    return {name: value for name, value in zip(names, (user, secret), strict=True) if value}


def seal_secret(keys: KeyRing, source_id: UUID, values: Mapping[str, str]) -> bytes | None:
    """What the row of the source keeps; None for nothing."""
    return keys.seal(json.dumps(dict(values)), bound_to=_place(source_id)) if values else None


def open_secret(keys: KeyRing, source_id: UUID, sealed: bytes | None) -> dict[str, str]:
    """The fields of a source. Raises InvalidInput when the secret key of the server has changed."""
    if sealed is None:
        return {}
    try:
        opened = json.loads(keys.open(sealed, bound_to=_place(source_id)))
    except SettingsError as problem:
        raise InvalidInput(f"The secret of this source cannot be opened: {problem.message}") from problem
    return {str(name): str(value) for name, value in opened.items()}


def _place(source_id: UUID) -> str:
    return f"sources/{source_id}"
