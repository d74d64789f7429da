"""What is made of Git's answers: packs, differences, folders, links; and that no hostile one gets past its limits."""

import contextlib
import hashlib
import tracemalloc
import zlib
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_app.egress import Visit
from rag_app.errors import DamagedFile, FetchFailed, TooMuchContent
from rag_app.ingestion.forges import RepositoryLink, link_of, read_link
from rag_app.ingestion.git_pack import BLOB, BY_NAME, BY_OFFSET, TREE, Objects, PackLimits, patched, read_pack
from rag_app.ingestion.git_remote import Credentials, Remote, Wanted, _listed
from rag_app.ingestion.git_wire import PackStream, packet, read_abilities, read_refs, read_tree, tree_of

KEEP = frozenset({BLOB})


def number(size: int) -> bytes:
    """A length as a difference writes it."""
    out = bytearray()
    while True:
        size, low = size >> 7, size & 0x7F
        out.append(low | (0x80 if size else 0))
        if not size:
            return bytes(out)


def entry(kind: int, content: bytes, *, base: bytes = b"", size: int | None = None) -> bytes:
    """An object of a pack; `size` is what it says instead of the truth."""
    size = len(content) if size is None else size
    first, rest = size & 15, size >> 4
    head = bytes([kind << 4 | first | (0x80 if rest else 0)]) + (number(rest) if rest else b"")
    return head + base + zlib.compress(content)


def pack(*entries: bytes, count: int | None = None) -> bytes:
    body = b"PACK" + (2).to_bytes(4) + (len(entries) if count is None else count).to_bytes(4) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def name_of(content: bytes, kind: str = "blob") -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def difference(base: bytes, result: bytes, *orders: bytes) -> bytes:
    return number(len(base)) + number(len(result)) + b"".join(orders)


BASE = b"The same beginning. " * 20
CHANGED = BASE[:100] + b"changed"
PATCH = difference(BASE, CHANGED, bytes([0x80 | 0x10, 100]), bytes([7]) + b"changed")


def test_objects_come_whole_and_as_differences() -> None:
    first = entry(BLOB, BASE)
    by_offset = entry(BY_OFFSET, PATCH, base=bytes([len(first)]) if len(first) < 128 else b"")
    found = read_pack(pack(first, by_offset, entry(TREE, b"")), keep=KEEP)
    assert {name: content for name, (_, content) in found.by_id.items()} == {
        name_of(BASE): BASE,
        name_of(CHANGED): CHANGED,
    }
    by_name = entry(BY_NAME, PATCH, base=bytes.fromhex(name_of(BASE)))
    assert read_pack(pack(by_name, first), keep=KEEP).by_id.keys() == found.by_id.keys()
    assert read_pack(pack(first), keep=frozenset({TREE})).by_id == {}


def test_large_objects_are_passed_over() -> None:
    large = entry(BLOB, b"\0" * 5_000_000)
    small = entry(BLOB, b"small")
    found = read_pack(pack(large, small), keep=KEEP, limits=PackLimits(largest=1000))
    assert list(found.by_id) == [name_of(b"small")] and found.was_cut
    found = read_pack(pack(small, entry(BLOB, b"other")), keep=KEEP, limits=PackLimits(most_kept=500))
    assert list(found.by_id) == [name_of(b"small")] and found.was_cut
    copy = bytes([0x80])  # 65,536 bytes from the start
    bomb = difference(b"x" * 65_536, b"x" * 65_536 * 5_000, copy * 5_000)
    first = entry(BLOB, b"x" * 65_536)
    behind = entry(BY_NAME, bomb, base=bytes.fromhex(name_of(b"x" * 65_536)))
    found = read_pack(pack(first, behind), keep=KEEP)
    assert list(found.by_id) == [name_of(b"x" * 65_536)] and found.was_cut


def test_an_object_is_unpacked_no_further_than_it_says() -> None:
    bomb = pack(entry(BLOB, b"\0" * 60_000_000, size=5))
    tracemalloc.start()
    try:
        with pytest.raises(DamagedFile):
            read_pack(bomb, keep=KEEP)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


BOMBS = [
    pack(entry(BLOB, b"\0" * 2_000_000)),
    pack(entry(BLOB, b"x", size=10**18)),
    pack(entry(BLOB, b"x"), count=6),
    pack(
        entry(BLOB, b"x"), entry(BY_NAME, difference(b"x", b"y" * 99, b"\x01y" * 99), base=bytes.fromhex(name_of(b"x")))
    ),
]


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_unpack_to_too_much_is_refused(bomb: bytes) -> None:
    with pytest.raises(TooMuchContent):
        read_pack(bomb, keep=KEEP, limits=PackLimits(most_objects=5, most_unpacked=1_000_000, most_patched=100))


DAMAGED = [
    b"",
    b"PACK",
    b"JUNK" + bytes(20),
    pack(entry(BLOB, b"x" * 100))[:-40],
    pack(entry(BLOB, b"longer", size=5)),
    pack(entry(BLOB, b"shorter", size=8)),
    pack(entry(5, b"no such kind")),
    pack(b"\xb0" + b"\xff" * 30),
    pack(entry(BLOB, b"x"), count=2)[:-20],
    pack(entry(BLOB, BASE), entry(BY_NAME, PATCH + b"\x00", base=bytes.fromhex(name_of(BASE)))),
    pack(entry(BLOB, b"other"), entry(BY_NAME, PATCH, base=bytes.fromhex(name_of(b"other")))),
]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_pack_is_refused(content: bytes) -> None:
    with pytest.raises(DamagedFile):
        read_pack(content, keep=KEEP)


@given(st.data())
def test_no_pack_does_anything_but_be_read_or_refused(data: st.DataObject) -> None:
    first = entry(BLOB, BASE)
    whole = bytearray(pack(first, entry(BY_NAME, PATCH, base=bytes.fromhex(name_of(BASE))), entry(BLOB, b"tail")))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_pack(bytes(whole), keep=KEEP, limits=PackLimits(most_objects=50))
    except (DamagedFile, TooMuchContent):
        return
    assert all(name == name_of(content) for name, (_, content) in found.by_id.items())


@given(st.binary(max_size=300), st.binary(max_size=200))
def test_no_difference_makes_more_than_it_says(base: bytes, orders: bytes) -> None:
    whole = number(len(base)) + number(50) + orders
    with contextlib.suppress(DamagedFile):
        assert len(patched(base, whole)) == 50


def test_an_answer_falls_into_the_same_pieces_however_it_comes() -> None:
    answer = (
        packet("shallow-info\n") + packet(f"shallow {'a' * 40}\n") + b"0001" + packet("packfile\n")
        + b"0009\x01PACK" + b"0009\x02talk" + b"0008\x01end" + b"0000"
    )  # fmt: skip
    for step in (1, 3, 7, 1000):
        got: list[bytes] = []
        stream = PackStream(got.append, most_bytes=100)
        for start in range(0, len(answer), step):
            stream.take(answer[start : start + step])
        assert b"".join(got) == b"PACKend" and stream.size == 7
    with pytest.raises(TooMuchContent):
        PackStream(bytes, most_bytes=6).take(answer)


@given(st.binary(max_size=400))
def test_any_answer_is_read_or_refused(content: bytes) -> None:
    for read in (read_abilities, read_refs, PackStream(bytes, most_bytes=100).take):
        with contextlib.suppress(FetchFailed, TooMuchContent):
            read(content)
    with contextlib.suppress(DamagedFile):
        assert all("/" not in each.name and each.name not in ("", ".", "..") for each in read_tree(content, 20)[0])


def test_abilities_and_names_of_a_server() -> None:
    first = packet("# service=git-upload-pack\n") + b"0000" + packet("version 2\n")
    assert read_abilities(first + packet("fetch=shallow filter\n") + b"0000").filters
    assert read_abilities(first + packet("object-format=sha256\n")).hash_name == "sha256"
    for other in (b"", b"0000", packet(f"{'0' * 40} HEAD\0multi_ack"), first + packet("object-format=md5\n")):
        with pytest.raises(FetchFailed):
            read_abilities(other)
    refs = read_refs(
        packet(f"{'1' * 40} HEAD symref-target:refs/heads/main\n")
        + packet(f"{'2' * 40} refs/tags/v1 peeled:{'3' * 40}\n") + packet("unborn HEAD\n") + b"0000"
    )  # fmt: skip
    assert [(each.name, each.oid[0], each.target) for each in refs] == [
        ("HEAD", "1", "refs/heads/main"), ("refs/tags/v1", "3", ""),
    ]  # fmt: skip
    assert tree_of(b"tree " + b"4" * 40 + b"\nauthor x") == "4" * 40
    with pytest.raises(DamagedFile):
        tree_of(b"parent " + b"4" * 40)


OF_LINKS = [
    ("https://github.com/o/n", "", RepositoryLink("https://github.com/o/n")),
    ("https://github.com/o/n/tree/main/docs/en", "", RepositoryLink("https://github.com/o/n", "main", "docs/en")),
    ("https://github.com/o/n/tree/a/b/docs", "a/b", RepositoryLink("https://github.com/o/n", "a/b", "docs")),
    ("https://gitlab.com/g/s/n/-/tree/v1/d%20e/", "", RepositoryLink("https://gitlab.com/g/s/n", "v1", "d e")),
    ("https://codeberg.org/o/n/src/branch/main/doc", "", RepositoryLink("https://codeberg.org/o/n", "main", "doc")),
    ("https://bitbucket.org/o/n/src/main/", "", RepositoryLink("https://bitbucket.org/o/n", "main")),
    ("https://git.example.com/tree/main", "x", RepositoryLink("https://git.example.com/tree/main", "x")),
]


@pytest.mark.parametrize(("address", "branch", "expected"), OF_LINKS)
def test_a_copied_link_names_repository_branch_and_folder(address: str, branch: str, expected: RepositoryLink) -> None:
    assert read_link(address, branch) == expected


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://github.com/o/n.git", "https://github.com/o/n/blob/a/b/docs/x%20%23y.md"),
        ("https://gitlab.example.com/g/n/", "https://gitlab.example.com/g/n/-/blob/a/b/docs/x%20%23y.md"),
        ("https://codeberg.org/o/n", "https://codeberg.org/o/n/src/branch/a/b/docs/x%20%23y.md"),
        ("https://bitbucket.org/o/n", "https://bitbucket.org/o/n/src/a/b/docs/x%20%23y.md"),
        ("https://git.example.com/o/n", None),
        ("https://notgithub.com/o/n", None),
    ],
)
def test_a_file_is_linked_where_the_host_is_known(repository: str, expected: str | None) -> None:
    assert link_of(repository, "a/b", "docs/x #y.md") == expected


def test_differences_in_any_order_are_put_together_in_one_pass() -> None:
    """The first one waits for the last: looking through all that wait again and again would take hours."""
    count, contents = 60_000, [b"0"]
    for place in range(count):
        contents.append(f"{place + 1}".encode())
    chain = [
        entry(BY_NAME, difference(old, new, bytes([len(new)]) + new), base=bytes.fromhex(name_of(old)))
        for old, new in pairwise(contents)
    ]
    found = read_pack(pack(*reversed(chain), entry(BLOB, contents[0])), keep=KEEP)
    assert len(found.by_id) == count + 1 and name_of(contents[-1]) in found.by_id


def test_names_that_are_left_out_count_as_well() -> None:
    """A few kilobytes can stand for billions of names: one folder that is in thousands of others."""
    junk = (b"100644 ..\0" + bytes(20)) * 60_000
    name = name_of(junk, "tree")
    folders = b"".join(f"40000 d{place:05}\0".encode() + bytes.fromhex(name) for place in range(10_000))
    root = name_of(folders, "tree")
    kept = Objects({name: (TREE, junk), root: (TREE, folders)})
    commit = f"tree {root}\n".encode()
    kept.by_id["c" * 40] = (1, commit)
    with pytest.raises(TooMuchContent, match="too many folders and files"):
        _listed(kept, "c" * 40, Wanted("", lambda _: True, 100))


def test_names_with_control_characters_are_none() -> None:
    good, odd = f"{'a' * 40} refs/heads/main\n", f"{'b' * 40} HEAD symref-target:refs/heads/a\0b\n"
    assert [each.name for each in read_refs(packet(good) + packet(odd))] == ["refs/heads/main"]


def test_what_was_said_in_confidence_is_not_repeated() -> None:
    remote = Remote(
        cast(Visit, None), "https://forge.example/repository", Credentials("s3cret-t0ken", "me"), most_bytes=1
    )
    sent = remote._headers("https://forge.example/repository")["authorization"].removeprefix("Basic ")
    with pytest.raises(FetchFailed) as caught, remote._discreet():
        raise FetchFailed(f"The server says: {sent} and s3cret-t0ken", field="token")
    assert caught.value.message == "The server says: … and …" and caught.value.details == {"field": "token"}
