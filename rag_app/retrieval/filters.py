"""The metadata filter of a search as a condition in SQL: equality per field, a list means any of its values.

A field is a key of the document's metadata, or else one of AUTOMATIC.
"""

import json
from collections.abc import Mapping
from typing import Any

from rag_app.errors import InvalidInput
from rag_app.retrieval.scope import Scope

_PATH = (
    "CASE WHEN {d}.url ~ '^[a-z]+://' "
    "THEN regexp_replace(regexp_replace({d}.url, '^[a-z]+://[^/?#]*', ''), '[?#].*$', '') END"
)
AUTOMATIC: dict[str, str] = {
    "title": "to_jsonb({d}.title)",
    "kind": "to_jsonb({d}.kind)",
    "external_id": "to_jsonb({d}.external_id)",
    "language": "to_jsonb({language})",
    "url": "to_jsonb({d}.url)",
    "site": "to_jsonb(lower(substring({d}.url FROM '^[a-z]+://(?:[^/?#@]*@)?([^/:?#]+)')))",
    "path": f"to_jsonb({_PATH})",
    # All folders that the path lies in, and the path itself.
    "section": "(SELECT jsonb_agg('/' || array_to_string(steps[1:depth], '/')) "  # noqa: S608 -- constants of this file
    f"FROM string_to_array(trim(BOTH '/' FROM {_PATH}), '/') AS steps, "
    "generate_series(1, cardinality(steps)) AS depth)",
    "year": "to_jsonb(CAST(substring(coalesce({d}.metadata ->> 'date', {d}.metadata ->> 'created', "
    "{d}.metadata ->> 'modified') FROM '((19|20)[0-9][0-9])') AS integer))",
}
"""Fields that every document has without being given them -> their value in SQL. Metadata of the same name wins."""


def document_filter(*, document: str, language: str, given: str) -> str:
    """A condition on the document with the alias `document`; `given` is the bound filter, see `allowed_values`.

    The filter goes in as one JSON object {field: [allowed, …]}, so its keys are data and never part of the statement.
    A value that is a list matches when any of its members is allowed.
    """
    automatic = " ".join(
        f"WHEN '{name}' THEN {value.format(d=document, language=language)}" for name, value in AUTOMATIC.items()
    )
    return f"""NOT EXISTS (
        SELECT FROM jsonb_each(CAST({given} AS jsonb)) AS wanted
        WHERE NOT EXISTS (
            SELECT FROM jsonb_array_elements(wanted.value) AS allowed
            WHERE coalesce({document}.metadata -> wanted.key, CASE wanted.key {automatic} END) @> allowed.value))
    """  # noqa: S608 -- aliases and expressions written in this room


def passage_filter(table: str) -> str:
    """A condition on the passages of `table` (one of our own aliases); keys and values are bound by `filter_values`."""
    return f"""
        AND EXISTS (
            SELECT FROM passages fp
            JOIN documents fd ON fd.knowledge_base_id = fp.knowledge_base_id AND fd.id = fp.document_id
            WHERE fp.knowledge_base_id = {table}.knowledge_base_id AND fp.id = {table}.passage_id
              AND fd.deleted_at IS NULL
              AND {document_filter(document="fd", language="fp.language", given="%(filter)s")})
    """


def filter_values(scope: Scope) -> dict[str, str]:
    """Bound parameters of `passage_filter`; nothing when there is no filter. Raises InvalidInput."""
    return {"filter": allowed_values(scope.filter)} if scope.filter else {}


def allowed_values(wanted: Mapping[str, Any]) -> str:
    """The filter as the JSON that `document_filter` reads.

    Raises InvalidInput for a filter that JSON in the database cannot express.
    """
    allowed: dict[str, list[Any]] = {
        key: list(value) if isinstance(value, list | tuple | set) else [value] for key, value in wanted.items()
    }
    try:
        written = json.dumps(allowed, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (TypeError, ValueError) as problem:
        raise InvalidInput("The filter holds something that is not plain text, number, boolean or null.") from problem
    if "\\u0000" in written:
        raise InvalidInput("The filter holds a NUL character.")
    return written
