"""The words of Git's smart protocol, version 2: what is asked of a server, and what its answers say. No network.

As in gitprotocol-v2(5) and gitprotocol-pack(5). Answers come from strangers: each piece is checked for its length.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rag_app.errors import DamagedFile, FetchFailed, TooMuchContent

ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
REQUEST = "application/x-git-upload-pack-request"
RESULT = "application/x-git-upload-pack-result"
AGENT = "git/2 (rag_app)"  # servers and their gatekeepers know the clients of Git by this beginning
_FLUSH, _BOUNDARY = b"0000", b"0001"
_LONGEST_PACKET = 65_520
_LONGEST_WORDS = 200
_LONGEST_NAME = 255
_DATA, _TROUBLE = 1, 3
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_STRANGE = "The server sent an answer that is not one of Git."


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server can do. `filters` = it can leave out the files of a commit; `hash_name` = sha1 or sha256."""

    filters: bool
    hash_name: str


@dataclass(frozen=True, slots=True)
class Ref:
    """A name that leads to a commit. `target` is the name that a symbolic one stands for, else ""."""

    name: str
    oid: str
    target: str = ""


def packet(line: str) -> bytes:
    """One line with its length in front."""
    content = line.encode()
    return f"{len(content) + 4:04x}".encode() + content


def read_abilities(content: bytes) -> Abilities:
    """What the first answer of a server says. Raises FetchFailed when it does not speak version 2."""
    lines = [line for line in _lines(content) if line and not line.startswith("# service=")]
    if not lines or lines[0] != "version 2":
        raise FetchFailed("The server speaks only an old version of Git's protocol; version 2 (Git 2.18) is needed.")
    known = dict(line.partition("=")[::2] for line in lines)
    hash_name = known.get("object-format", "sha1")
    if hash_name not in ("sha1", "sha256"):
        raise FetchFailed("The repository uses a kind of object ids that is not known here.")
    return Abilities("filter" in known.get("fetch", "").split(), hash_name)


def ask_refs(prefixes: Iterable[str], hash_name: str) -> bytes:
    """Ask for the names that begin so."""
    return _command("ls-refs", hash_name, ["peel", "symrefs", *(f"ref-prefix {each}" for each in prefixes)])


def read_refs(content: bytes) -> list[Ref]:
    """The names in the answer; a tag stands for the commit that it marks. Raises FetchFailed."""
    refs = []
    for line in _lines(content):
        oid, _, rest = (line or "").partition(" ")
        name, *attributes = rest.split(" ")
        known = dict(each.partition(":")[::2] for each in attributes)
        oid = known.get("peeled", oid)
        if name and _OID.fullmatch(oid) and line and line.isprintable():
            refs.append(Ref(name, oid, known.get("symref-target", "")))
    return refs


def ask_commit(oid: str, abilities: Abilities) -> bytes:
    """Ask for one commit without its past and, if the server can, without the content of its files."""
    wanted = ["no-progress", "ofs-delta", f"want {oid}", "deepen 1"]
    if abilities.filters:
        wanted.append("filter blob:none")
    return _command("fetch", abilities.hash_name, [*wanted, "done"])


def ask_objects(oids: Iterable[str], hash_name: str) -> bytes:
    """Ask for some files by their ids."""
    return _command("fetch", hash_name, ["no-progress", "ofs-delta", *(f"want {each}" for each in oids), "done"])


def _command(name: str, hash_name: str, arguments: Iterable[str]) -> bytes:
    head = packet(f"command={name}\n")
    if hash_name != "sha1":  # older servers do not know the word
        head += packet(f"object-format={hash_name}\n")
    return head + _BOUNDARY + b"".join(packet(f"{each}\n") for each in arguments) + _FLUSH


class PackStream:
    """Takes the answer to a fetch as it comes and hands on the bytes of the pack in it."""

    def __init__(self, write: Callable[[bytes], object], *, most_bytes: int) -> None:
        self._write, self._most_bytes = write, most_bytes
        self._waiting = bytearray()
        self._is_pack = False
        self.size = 0

    def take(self, chunk: bytes) -> None:
        """Some more of the answer. Raises FetchFailed with what the server says is wrong, TooMuchContent."""
        self._waiting += chunk
        place = 0
        while len(self._waiting) - place >= 4:
            length = _length(self._waiting[place : place + 4])
            if length > len(self._waiting) - place:
                break
            if length > 4:
                self._receive(bytes(self._waiting[place + 4 : place + length]))
            place += max(length, 4)
        del self._waiting[:place]

    def _receive(self, payload: bytes) -> None:
        if not self._is_pack:
            _refuse_trouble(payload)
            self._is_pack = payload.rstrip(b"\n") == b"packfile"
        elif payload[0] == _DATA:
            self.size += len(payload) - 1
            if self.size > self._most_bytes:
                raise TooMuchContent(
                    f"The repository sends more than the {self._most_bytes // 1_000_000} MB that one run may take: "
                    "name a folder in it, or raise max_total_mb."
                )
            self._write(payload[1:])
        elif payload[0] == _TROUBLE:
            raise FetchFailed(f"The server of the repository says: {_words(payload[1:])}")


def _length(digits: bytes | bytearray) -> int:
    try:
        length = int(bytes(digits), 16)
    except ValueError as problem:
        raise FetchFailed(_STRANGE) from problem
    if length == 3 or not 0 <= length <= _LONGEST_PACKET:
        raise FetchFailed(_STRANGE)
    return length


def _lines(content: bytes) -> Iterator[str | None]:
    """The lines of an answer; None for a boundary. Raises FetchFailed."""
    place = 0
    while place < len(content):
        length = _length(content[place : place + 4])
        if max(length, 4) > len(content) - place:
            raise FetchFailed(_STRANGE)
        if length >= 4:
            payload = content[place + 4 : place + length]
            _refuse_trouble(payload)
            yield payload.rstrip(b"\n").decode("utf-8", "replace")
        else:
            yield None
        place += max(length, 4)


def _refuse_trouble(payload: bytes) -> None:
    if payload.startswith(b"ERR "):
        raise FetchFailed(f"The server of the repository says: {_words(payload[4:])}")


def _words(said: bytes) -> str:
    text = " ".join(said.decode("utf-8", "replace").split())
    return "".join(each for each in text if each.isprintable())[:_LONGEST_WORDS]


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One name in a folder."""

    mode: int
    name: str
    oid: str

    @property
    def is_folder(self) -> bool:
        """A folder; links to other repositories are none."""
        return self.mode & 0o170000 == 0o040000

    @property
    def is_file(self) -> bool:
        """A plain file; symbolic links are none."""
        return self.mode & 0o170000 == 0o100000


def read_tree(content: bytes, id_bytes: int) -> tuple[list[TreeEntry], int]:
    """The entries of a folder, and how many there are with those whose names are none or not UTF-8.

    Those are left out, but reading them takes its time. Raises DamagedFile.
    """
    entries, place, count = [], 0, 0
    while place < len(content):
        count += 1
        space, end = content.find(b" ", place, place + 8), content.find(b"\0", place)
        if space < 0 or end < space or end + 1 + id_bytes > len(content):
            raise DamagedFile("A folder of the repository is damaged.")
        oid = content[end + 1 : end + 1 + id_bytes].hex()
        try:
            entries.append(TreeEntry(int(content[place:space], 8), content[space + 1 : end].decode(), oid))
        except UnicodeDecodeError:
            pass
        except ValueError as problem:
            raise DamagedFile("A folder of the repository is damaged.") from problem
        place = end + 1 + id_bytes
    return [each for each in entries if _is_name(each.name)], count


def _is_name(name: str) -> bool:
    return name not in ("", ".", "..") and "/" not in name and len(name) <= _LONGEST_NAME


def tree_of(commit: bytes) -> str:
    """The id of the folder that a commit holds. Raises DamagedFile."""
    word, _, oid = commit.partition(b"\n")[0].decode("ascii", "replace").partition(" ")
    if word != "tree" or not _OID.fullmatch(oid):
        raise DamagedFile("The commit is damaged.")
    return oid
