"""One Git repository behind its address: its branches, the files of a commit, the content of some of them.

Everything goes through the guarded client. What a server sends is written to a file without a name and read under
limits; it holds at most the files of one commit, never their past.
"""

import asyncio
import base64
import mmap
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rag_app.egress import Call, Fetched, Limits, Visit
from rag_app.errors import FetchFailed, InvalidInput, TooMuchContent
from rag_app.ingestion.git_pack import BLOB, COMMIT, TREE, Objects, PackLimits, read_pack
from rag_app.ingestion.git_wire import (
    ADVERTISEMENT,
    AGENT,
    REQUEST,
    RESULT,
    Abilities,
    PackStream,
    Ref,
    ask_commit,
    ask_objects,
    ask_refs,
    read_abilities,
    read_refs,
    read_tree,
    tree_of,
)
from rag_app.ingestion.web_address import LONGEST_ADDRESS, origin

TIMEOUT_S = 30.0
PACK_TIMEOUT_S = 300.0
OK = 200
NOT_FOUND = 404
CLOSED = frozenset({401, 403})
MOST_LISTED_BYTES = 20_000_000  # of names of branches
MOST_ENTRIES = 500_000  # names in all folders; a few kilobytes can stand for billions
BATCH_BYTES = 32_000_000
HEAD = "HEAD"
_SERVICE = "git-upload-pack"
_USUAL_NAME = "git"  # hosts look at the token and take any name
Take = Callable[[bytes], object]
_NAMES = {"gitlab": "oauth2", "bitbucket.org": "x-token-auth", "github.com": "x-access-token"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who reads a private repository. `user` "" = the usual one of the host."""

    token: str = field(default="", repr=False)
    user: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a repository really is, after redirects, and what its server can do."""

    address: str
    abilities: Abilities

    def as_json(self) -> dict[str, object]:
        """For the memory of a run."""
        return {"place": self.address, "filters": self.abilities.filters, "hash": self.abilities.hash_name}

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> "Place":
        """From the memory of a run."""
        return cls(str(kept["place"]), Abilities(bool(kept["filters"]), str(kept["hash"])))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which files of a commit are wanted: below a folder ("" or "docs/"), of a fitting path, so many and one more."""

    folder: str
    holds: Callable[[str], bool]
    most: int


@dataclass(frozen=True, slots=True)
class _Keeping:
    kinds: frozenset[int]
    limits: PackLimits
    most_bytes: int


class Remote:
    """A repository that is spoken to. A token goes only to the very origin it was given for."""

    def __init__(self, stay: Visit, address: str, credentials: Credentials, *, most_bytes: int) -> None:
        self._stay, self._address, self._credentials = stay, address.rstrip("/"), credentials
        self._most_bytes = most_bytes
        self.received = 0

    async def open(self) -> Place:
        """Find the repository. Raises FetchFailed with what to do when it cannot be read."""
        place, found = await self._ask_place(self._address)
        if origin(place) != origin(self._address):  # on the way to another host all headers were dropped
            place, found = await self._ask_place(place)
        if found.media_type != ADVERTISEMENT:
            raise self._explained(FetchFailed(status=NOT_FOUND))
        return Place(place, read_abilities(found.body))

    async def _ask_place(self, address: str) -> tuple[str, Fetched]:
        asked, limits = f"{address}/info/refs?service={_SERVICE}", Limits(1_000_000, TIMEOUT_S)
        try:
            found = await self._stay.fetch(asked, limits, self._headers(address))
        except FetchFailed as problem:
            raise self._explained(problem) from problem
        place = found.url_final.partition("?")[0]
        if not place.endswith("/info/refs"):
            raise self._explained(FetchFailed(status=NOT_FOUND))
        return place.removesuffix("/info/refs"), found

    async def find(self, place: Place, branch: str) -> Ref:
        """The branch or tag of this name, "" = the main one. Raises FetchFailed, InvalidInput."""
        wanted = [f"refs/heads/{branch}", f"refs/tags/{branch}"] if branch else [HEAD]
        question = ask_refs(wanted, place.abilities.hash_name)
        answer = bytearray()
        with self._discreet():
            await self._post(place, question, answer.extend, most_bytes=MOST_LISTED_BYTES)
            refs = {each.name: each for each in await asyncio.to_thread(read_refs, bytes(answer))}
        found = next((refs[name] for name in wanted if name in refs), None)
        if found is not None:
            return found
        if branch:
            raise InvalidInput(f"branch: the repository has no branch or tag that is called {branch}.", field="branch")
        raise FetchFailed("The repository is empty, or has no main branch: name a branch.")

    async def files(self, place: Place, oid: str, wanted: Wanted) -> dict[str, str]:
        """Path and id of the wanted files of a commit. Raises FetchFailed and what it is, TooMuchContent."""
        question, most = ask_commit(oid, place.abilities), self._most_bytes
        kept = await self._pack(place, question, _Keeping(frozenset({COMMIT, TREE}), PackLimits(), most))
        return await asyncio.to_thread(_listed, kept, oid, wanted)

    async def contents(self, place: Place, oids: Sequence[str], *, largest: int) -> dict[str, bytes]:
        """The content of files by id; those larger than `largest` are left out. Raises FetchFailed and what it is."""
        together = max(largest, BATCH_BYTES)
        limits = PackLimits(largest=largest, most_kept=together + 1_000_000, most_unpacked=10 * together)
        keeping = _Keeping(frozenset({BLOB}), limits, together + together // 8 + 1_000_000)
        try:
            kept = await self._pack(place, ask_objects(oids, place.abilities.hash_name), keeping)
        except TooMuchContent:
            kept = Objects(was_cut=True)
        found = {oid: kept.by_id[oid][1] for oid in oids if oid in kept.by_id}
        missing = [oid for oid in oids if oid not in found]
        if missing and not kept.was_cut:
            raise FetchFailed("The server of the repository did not send a file that belongs to the commit.")
        if len(oids) > 1:
            for oid in missing:
                found |= await self.contents(place, [oid], largest=largest)
        return found

    async def _pack(self, place: Place, question: bytes, keeping: _Keeping) -> Objects:
        hash_name = place.abilities.hash_name
        with tempfile.TemporaryFile() as file:
            stream = PackStream(file.write, most_bytes=keeping.most_bytes)
            try:
                with self._discreet():
                    await self._post(place, question, stream.take, most_bytes=2 * keeping.most_bytes)
            finally:
                self.received += stream.size
            file.flush()
            if not stream.size:
                raise FetchFailed("The server of the repository sent nothing of what was asked for.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return await asyncio.to_thread(
                    read_pack, content, keep=keeping.kinds, hash_name=hash_name, limits=keeping.limits
                )

    async def _post(self, place: Place, question: bytes, take: Take, *, most_bytes: int) -> None:
        headers = {**self._headers(place.address), "content-type": REQUEST, "accept": RESULT}
        call = Call(f"{place.address}/{_SERVICE}", headers, question, take)
        found = await self._stay.call(call, Limits(most_bytes, PACK_TIMEOUT_S))
        if found.status != OK:
            words = f"The server of the repository answered {found.status}."
            raise self._explained(FetchFailed(words, status=found.status))

    @contextmanager
    def _discreet(self) -> Iterator[None]:
        """Takes out of what a server says what it was told in confidence: people read it who may not know that."""
        try:
            yield
        except FetchFailed as problem:
            words, sent = problem.message, self._headers(self._address).get("authorization", "")
            for secret in filter(None, (sent.removeprefix("Basic "), self._credentials.token)):
                words = words.replace(secret, "…")
            if words == problem.message:
                raise
            raise FetchFailed(words, **problem.details) from None

    def _headers(self, place: str) -> dict[str, str]:
        headers = {"user-agent": AGENT, "git-protocol": "version=2", "pragma": "no-cache"}
        if self._credentials.token and origin(place) == origin(self._address):
            host = origin(self._address).partition("//")[2]
            usual = next((name for part, name in _NAMES.items() if part in host), _USUAL_NAME)
            pair = f"{self._credentials.user or usual}:{self._credentials.token}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers

    def _explained(self, problem: FetchFailed) -> FetchFailed:
        status, host = problem.details.get("status"), origin(self._address).partition("//")[2]
        details = {name: value for name, value in problem.details.items() if name != "field"}
        if status in CLOSED and self._credentials.token:
            words = f"token: {host} does not accept it. It must be valid and may read the contents of this repository."
            return FetchFailed(words, **details, field="token")
        if status in CLOSED:
            words = "token: the repository is private or does not exist. Enter a token that may read it."
            return FetchFailed(words, **details, field="token")
        if status == NOT_FOUND:
            return FetchFailed(f"address: there is no Git repository at this address of {host}.", field="address")
        return problem


def _listed(kept: Objects, commit: str, wanted: Wanted) -> dict[str, str]:
    if commit not in kept.by_id:
        raise FetchFailed("The server of the repository did not send the commit that was asked for.")
    found: dict[str, str] = {}
    for path, oid in _walk(kept, tree_of(kept.by_id[commit][1]), wanted.folder):
        if wanted.holds(path):
            found[path] = oid
            if len(found) > wanted.most:
                break
    return found


def _walk(kept: Objects, root: str, folder: str) -> Iterator[tuple[str, str]]:
    waiting, seen = [("", root)], 0
    while waiting:
        path, oid = waiting.pop()
        if oid not in kept.by_id:
            raise FetchFailed("The server of the repository did not send all folders of the commit.")
        entries, count = read_tree(kept.by_id[oid][1], len(oid) // 2)
        seen += count + 1
        if seen > MOST_ENTRIES:
            raise TooMuchContent("The repository holds too many folders and files: name a folder in it.")
        yield from ((path + each.name, each.oid) for each in entries if each.is_file)
        for entry in reversed(entries):
            below = f"{path}{entry.name}/"
            leads_there = below.startswith(folder) or folder.startswith(below)
            if entry.is_folder and leads_there and len(below) < LONGEST_ADDRESS:
                waiting.append((below, entry.oid))
