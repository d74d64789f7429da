"""The metadata filter of a search as a condition in SQL: equality per key, a list means any of its values."""

import json
from typing import Any

from rag_app.errors import InvalidInput
from rag_app.retrieval.scope import Scope


def passage_filter(table: str) -> str:
    """A condition on the passages of `table` (one of our own aliases); keys and values are bound by `filter_values`.

    The filter goes in as one JSON object {key: [allowed, …]}, so its keys are data and never part of the statement.
    A metadata value that is a list matches when any of its members is allowed.
    """
    return f"""
        AND EXISTS (
            SELECT FROM passages fp
            JOIN documents fd ON fd.knowledge_base_id = fp.knowledge_base_id AND fd.id = fp.document_id
            WHERE fp.knowledge_base_id = {table}.knowledge_base_id AND fp.id = {table}.passage_id
              AND fd.deleted_at IS NULL
              AND NOT EXISTS (
                SELECT FROM jsonb_each(CAST(%(filter)s AS jsonb)) AS wanted
                WHERE NOT EXISTS (
                    SELECT FROM jsonb_array_elements(wanted.value) AS allowed
                    WHERE fd.metadata -> wanted.key @> allowed.value))
        )
    """  # noqa: S608 -- `table` is an alias written in this room


def filter_values(scope: Scope) -> dict[str, str]:
    """Bound parameters of `passage_filter`; nothing when there is no filter.

    Raises InvalidInput for a filter that JSON in the database cannot express.
    """
    if not scope.filter:
        return {}
    allowed: dict[str, list[Any]] = {
        key: list(value) if isinstance(value, list | tuple | set) else [value] for key, value in scope.filter.items()
    }
    try:
        written = json.dumps(allowed, ensure_ascii=False, allow_nan=False)
        written.encode()
    except (TypeError, ValueError) as problem:
        raise InvalidInput("The filter holds something that is not plain text, number, boolean or null.") from problem
    if "\\u0000" in written:
        raise InvalidInput("The filter holds a NUL character.")
    return {"filter": written}
