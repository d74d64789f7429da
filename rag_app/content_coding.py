"""Unpacks what a server packed for its way (`Content-Encoding`), a piece at a time, so that no packed answer is a bomb.

Clients usually unpack whatever is named, in one go and as often as it is named: 3 kB become gigabytes before anybody
can count them.
"""

import zlib
from collections.abc import Iterator

from rag_app.errors import FetchFailed

ACCEPTED = "gzip"
PIECE = 1 << 16
_EITHER_HEADER = zlib.MAX_WBITS | 32  # gzip's or zlib's
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})


class Unpacker:
    """The bytes of one answer. Raises FetchFailed for codings that were not asked for, and for several at once."""

    def __init__(self, coding: str, host: str) -> None:
        names = [name for each in coding.lower().split(",") if (name := each.strip()) not in ("", "identity")]
        if len(names) > 1 or not _PACKED.issuperset(names):
            raise FetchFailed(f"{host} sent an answer that is packed in a way that was not asked for.")
        self._host = host
        self._inflater = zlib.decompressobj(_EITHER_HEADER) if names else None
        self._may_be_bare = names == ["deflate"]  # as some servers send it, without its header

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What these bytes hold, at most PIECE bytes at a time, so that the caller can stop. Raises FetchFailed."""
        if self._inflater is None:
            yield chunk
            return
        while chunk:
            try:
                out = self._inflate(chunk)
            except zlib.error as problem:
                raise FetchFailed(f"{self._host} sent an answer that cannot be read.") from problem
            if out:
                yield out
            chunk = self._inflater.unconsumed_tail
            if self._inflater.eof:  # a file may hold several packed ones, one after the other
                chunk = self._inflater.unused_data
                self._inflater = zlib.decompressobj(_EITHER_HEADER)
                if chunk and not chunk.startswith((b"\x1f", b"\x78")):
                    return  # what some servers leave behind the end

    def _inflate(self, chunk: bytes) -> bytes:
        inflater = self._inflater or zlib.decompressobj()
        try:
            out = inflater.decompress(chunk, PIECE)
        except zlib.error:
            if not self._may_be_bare:
                raise
            self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
            out = self._inflater.decompress(chunk, PIECE)
        self._may_be_bare = False
        return out
