"""The rows a search reads, in PostgreSQL's binary COPY format: several times faster to write and to parse than text."""

import struct
from collections.abc import Sequence
from uuid import UUID

import numpy as np

from rag_app.retrieval.terms import TERM_SPACE

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
_INT4_OID = 23
_COUNT, _INT = struct.Struct(">h"), struct.Struct(">i")
_NULL = _INT.pack(-1)


def record(fields: Sequence[bytes | None]) -> bytes:
    """One row of fields; None is NULL."""
    parts = [_COUNT.pack(len(fields))]
    for field in fields:
        if field is None:
            parts.append(_NULL)
        else:
            parts += (_INT.pack(len(field)), field)
    return b"".join(parts)


def uuid(value: UUID) -> bytes:
    """A `uuid`."""
    return value.bytes


def integer(value: int) -> bytes:
    """An `integer`."""
    return _INT.pack(value)


def bigint(value: int) -> bytes:
    """A `bigint`."""
    return struct.pack(">q", value)


def integers(values: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> bytes:
    """An `integer[]`."""
    if len(values) == 0:
        return struct.pack(">iii", 0, 0, _INT4_OID)
    body = np.empty((len(values), 2), dtype=">i4")
    body[:, 0] = 4  # each element is preceded by its length
    body[:, 1] = values
    return struct.pack(">iiiii", 1, 0, _INT4_OID, len(values), 1) + body.tobytes()


def halfvec(vector: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> bytes:
    """A pgvector `halfvec`."""
    return struct.pack(">hh", len(vector), 0) + vector.astype(">f2").tobytes()


def sparsevec(
    indices: "np.ndarray[tuple[int], np.dtype[np.int64]]", values: "np.ndarray[tuple[int], np.dtype[np.float32]]"
) -> bytes:
    """A pgvector `sparsevec(TERM_SPACE)`; `indices` count from 1 and rise."""
    head = struct.pack(">iii", TERM_SPACE, len(indices), 0)
    return head + (indices - 1).astype(">i4").tobytes() + values.astype(">f4").tobytes()
