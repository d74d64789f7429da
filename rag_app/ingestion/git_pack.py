"""Reads a pack of Git: its objects, whole or as differences from others, under limits that no pack can get past.

The format is gitformat-pack(5). Nothing is believed: lengths are checked while unpacking, and an object is known by the
hash of what came, so nobody can pass one off as another.
"""

import hashlib
import mmap
import zlib
from dataclasses import dataclass, field

from rag_app.errors import DamagedFile, TooMuchContent

COMMIT, TREE, BLOB, TAG, BY_OFFSET, BY_NAME = 1, 2, 3, 4, 6, 7
_KINDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
_HEAD_BYTES = 12
_PIECE = 1 << 16
_SMALL_PIECE = 1 << 12
_LONGEST_NUMBER = 10  # bytes of a number in a pack
_AROUND = 400  # bytes of memory that an object takes besides its content


@dataclass(frozen=True, slots=True)
class PackLimits:
    """How much of a pack is taken. Objects that are larger than `largest` are passed over."""

    most_objects: int = 500_000
    most_unpacked: int = 4_000_000_000  # of all objects together, kept or not
    most_kept: int = 100_000_000  # of those kept, in memory
    largest: int = 50_000_000
    most_patched: int = 20_000_000  # bytes of differences that are applied, each of which may be an instruction


@dataclass(slots=True)
class Objects:
    """What was kept of a pack. `was_cut`: something was too large to be kept."""

    by_id: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    was_cut: bool = False


@dataclass(slots=True)
class _Pack:
    content: mmap.mmap | bytes
    limits: PackLimits
    keep: frozenset[int]
    hash_name: str
    objects: Objects = field(default_factory=Objects)
    by_place: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    waiting: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)  # base -> place, difference
    place: int = _HEAD_BYTES
    unpacked: int = 0
    kept: int = 0
    patched: int = 0

    def read_next(self) -> None:
        """Read the object that begins here."""
        start = self.place
        kind, size = self._head()
        self.unpacked += size
        if self.unpacked > self.limits.most_unpacked:
            raise TooMuchContent("The repository unpacks to more than is accepted.")
        if kind == BY_OFFSET:
            base = self.by_place.get(start - self._offset())
            if base is None:
                self._inflate(size, keep=False)
            elif (found := self._inflate(size, keep=self._has_room(size))) is not None:
                self._keep(start, base[0], self._patched(base[1], found))
        elif kind == BY_NAME:
            name_bytes = hashlib.new(self.hash_name, usedforsecurity=False).digest_size
            name = bytes(self.content[self.place : self.place + name_bytes]).hex()
            self.place += name_bytes
            if (found := self._inflate(size, keep=self._has_room(size))) is not None:
                self.kept += size
                self.waiting.setdefault(name, []).append((start, found))
        elif kind in _KINDS:
            wanted = kind in self.keep
            self._keep(start, kind, self._inflate(size, keep=wanted and self._has_room(size)))
        else:
            raise DamagedFile("The repository sent a damaged pack.")

    def resolve_waiting(self) -> None:
        """Put together the differences whose base came after them or is known by name only."""
        ready = [name for name in self.waiting if name in self.objects.by_id]
        while ready:  # what is left then has a base that was not kept, so it is not kept either
            name = ready.pop()
            kind, base = self.objects.by_id[name]
            for place, difference in self.waiting.pop(name, ()):
                made = self._keep(place, kind, self._patched(base, difference))
                if made in self.waiting:
                    ready.append(made)

    def _head(self) -> tuple[int, int]:
        byte = self._byte()
        kind, size, shift = (byte >> 4) & 7, byte & 15, 4
        while byte & 0x80:
            byte = self._byte()
            size |= (byte & 0x7F) << shift
            shift += 7
            if shift > 7 * _LONGEST_NUMBER:
                raise DamagedFile("The repository sent a damaged pack.")
        return kind, size

    def _offset(self) -> int:
        byte = self._byte()
        distance = byte & 0x7F
        for _ in range(_LONGEST_NUMBER):
            if not byte & 0x80:
                return distance
            byte = self._byte()
            distance = ((distance + 1) << 7) | (byte & 0x7F)
        raise DamagedFile("The repository sent a damaged pack.")

    def _byte(self) -> int:
        if self.place >= len(self.content):
            raise DamagedFile("The pack of the repository ends too early.")
        self.place += 1
        return self.content[self.place - 1]

    def _inflate(self, size: int, *, keep: bool) -> bytes | None:
        """Unpack `size` bytes from here on; None when they are not kept. Raises DamagedFile for more or fewer."""
        unpacker, found, length, step = zlib.decompressobj(), bytearray(), 0, _SMALL_PIECE
        try:
            while not unpacker.eof:
                piece = unpacker.unconsumed_tail or self.content[self.place : self.place + step]
                if not piece:
                    raise DamagedFile("The pack of the repository ends too early.")
                if not unpacker.unconsumed_tail:
                    self.place += len(piece)
                out = unpacker.decompress(piece, _PIECE)
                length, step = length + len(out), _PIECE
                if length > size:
                    raise DamagedFile("An object of the repository is larger than it says.")
                if keep:
                    found += out
        except zlib.error as problem:
            raise DamagedFile("The repository sent a damaged pack.") from problem
        self.place -= len(unpacker.unused_data)
        if length != size:
            raise DamagedFile("An object of the repository is smaller than it says.")
        return bytes(found) if keep else None

    def _has_room(self, size: int) -> bool:
        fits = size <= self.limits.largest and self.kept + size + _AROUND <= self.limits.most_kept
        self.objects.was_cut = self.objects.was_cut or not fits
        return fits

    def _patched(self, base: bytes, difference: bytes) -> bytes | None:
        self.patched += len(difference)
        if self.patched > self.limits.most_patched:
            raise TooMuchContent("The pack of the repository is put together from too many pieces.")
        _, result_size, _ = patch_sizes(difference)
        return patched(base, difference) if self._has_room(result_size) else None

    def _keep(self, place: int, kind: int, content: bytes | None) -> str:
        """The id of what was kept, "" when there is nothing to keep."""
        if content is None:
            return ""
        self.kept += len(content) + _AROUND
        head = _KINDS[kind] + f" {len(content)}\0".encode()
        name = hashlib.new(self.hash_name, head + content, usedforsecurity=False).hexdigest()
        self.by_place[place] = self.objects.by_id[name] = (kind, content)
        return name


def read_pack(
    content: mmap.mmap | bytes, *, keep: frozenset[int], hash_name: str = "sha1", limits: PackLimits | None = None
) -> Objects:
    """The objects of these kinds. CPU-heavy: call it in a thread. Raises DamagedFile, TooMuchContent."""
    limits = limits or PackLimits()
    head = bytes(content[:_HEAD_BYTES])
    if len(head) < _HEAD_BYTES or head[:4] != b"PACK" or int.from_bytes(head[4:8]) not in (2, 3):
        raise DamagedFile("The repository sent no pack.")
    count = int.from_bytes(head[8:])
    if count > limits.most_objects:
        raise TooMuchContent(f"The repository holds more than {limits.most_objects:,} objects in one commit.")
    pack = _Pack(content, limits, keep, hash_name)
    for _ in range(count):
        pack.read_next()
    pack.resolve_waiting()
    return pack.objects


def patch_sizes(difference: bytes) -> tuple[int, int, int]:
    """Length of the base, length of the result, and where the instructions begin. Raises DamagedFile."""
    base_size, place = _number(difference, 0)
    result_size, place = _number(difference, place)
    return base_size, result_size, place


def _number(content: bytes, place: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 7 * _LONGEST_NUMBER, 7):
        if place >= len(content):
            break
        byte = content[place]
        place += 1
        number |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return number, place
    raise DamagedFile("A difference in the pack of the repository is damaged.")


def patched(base: bytes, difference: bytes) -> bytes:
    """The object that a difference makes out of its base; never longer than the difference says. Raises DamagedFile."""
    base_size, result_size, place = patch_sizes(difference)
    result, end = bytearray(), len(difference)
    damaged = DamagedFile("A difference in the pack of the repository is damaged.")
    if base_size != len(base):
        raise damaged
    while place < end:
        order = difference[place]
        place += 1
        if order & 0x80:
            start, length, place = _copied(order, difference, place)
            if start + length > base_size or length > result_size - len(result):
                raise damaged
            result += base[start : start + length]
        elif order == 0 or place + order > end or order > result_size - len(result):
            raise damaged
        else:
            result += difference[place : place + order]
            place += order
    if len(result) != result_size:
        raise damaged
    return bytes(result)


def _copied(order: int, difference: bytes, place: int) -> tuple[int, int, int]:
    """Where a copy begins in the base, how long it is, and where the next instruction stands."""
    numbers = [0, 0]
    for bit in range(7):
        if order & (1 << bit):
            if place >= len(difference):
                raise DamagedFile("A difference in the pack of the repository is damaged.")
            which, shift = (0, 8 * bit) if bit < 4 else (1, 8 * (bit - 4))
            numbers[which] |= difference[place] << shift
            place += 1
    return numbers[0], numbers[1] or 0x10000, place
