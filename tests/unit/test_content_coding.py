"""Packed answers are unpacked in pieces, by one coding alone, and never as a bomb."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.content_coding import PIECE, Unpacker
from rag_app.errors import FetchFailed


def unpacked(coding: str, *chunks: bytes) -> bytes:
    unpacker = Unpacker(coding, "somewhere")
    return b"".join(piece for chunk in chunks for piece in unpacker.pieces(chunk))


@given(
    st.binary(max_size=5_000), st.integers(1, 700), st.sampled_from(["gzip", "x-gzip", "deflate", "raw", "identity"])
)
def test_what_was_packed_comes_back_whatever_the_chunks(content: bytes, size: int, coding: str) -> None:
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = {
        "gzip": gzip.compress(content),
        "x-gzip": gzip.compress(content),
        "deflate": zlib.compress(content),
        "raw": bare.compress(content) + bare.flush(),
        "identity": content,
    }[coding]
    chunks = [packed[at : at + size] for at in range(0, len(packed), size)]
    if coding == "raw" and size < 3 and len(packed) > 2:
        chunks = [packed]  # its beginning may look like a header until there is more of it
    assert unpacked("deflate" if coding == "raw" else coding, *chunks) == content


def test_several_packed_files_behind_each_other_are_one() -> None:
    assert (
        unpacked("gzip", gzip.compress(b"one ") + gzip.compress(b"two"), gzip.compress(b" three")) == b"one two three"
    )


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip,deflate", "br", "zstd", "gzip, identity, gzip"])
def test_other_codings_and_several_at_once_are_refused(coding: str) -> None:
    with pytest.raises(FetchFailed, match="not asked for"):
        Unpacker(coding, "somewhere")


def test_what_is_damaged_is_said() -> None:
    with pytest.raises(FetchFailed, match="cannot be read"):
        unpacked("gzip", b"no gzip at all, but quite long")


def test_a_bomb_comes_in_pieces() -> None:
    bomb = gzip.compress(bytes(200_000_000))
    tracemalloc.start()
    pieces = Unpacker("gzip", "somewhere").pieces(bomb)
    assert all(len(next(pieces)) <= PIECE for _ in range(50))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20 * PIECE + len(bomb)
