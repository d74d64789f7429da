"""Writes OLE compound files ([MS-CFB]), as Outlook messages are: a tree of folders and streams."""

import struct
from dataclasses import dataclass, field
from itertools import pairwise

SECTOR, MINI, CUTOFF = 512, 64, 4096
FREE, END, FAT_SECTOR, NONE = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD, 0xFFFFFFFF
Tree = dict[str, "bytes | Tree"]


@dataclass
class Entry:
    """One line of the directory."""

    name: str
    kind: int  # 1 folder, 2 stream, 5 root
    child: int = NONE
    right: int = NONE
    start: int = END
    size: int = 0


@dataclass
class Writer:
    """Sectors as they are laid out."""

    sectors: list[bytes] = field(default_factory=list)
    fat: list[int] = field(default_factory=list)
    mini: bytearray = field(default_factory=bytearray)
    mini_fat: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    def put(self, content: bytes) -> int:
        """Store some bytes in sectors of their own; the first one."""
        if not content:
            return END
        first = len(self.sectors)
        for at in range(0, len(content), SECTOR):
            self.sectors.append(content[at : at + SECTOR].ljust(SECTOR, b"\0"))
            self.fat.append(len(self.sectors))
        self.fat[-1] = END
        return first

    def put_small(self, content: bytes) -> int:
        """Store some bytes in the stream of small ones; their first place in it."""
        first = len(self.mini_fat)
        for at in range(0, len(content), MINI):
            self.mini += content[at : at + MINI].ljust(MINI, b"\0")
            self.mini_fat.append(len(self.mini_fat) + 1)
        self.mini_fat[-1] = END
        return first

    def add(self, tree: Tree) -> int:
        """Entries for the children of a folder, as a chain of right siblings; the first of them."""
        numbers = []
        for name, content in sorted(tree.items(), key=lambda each: (len(each[0]), each[0].upper())):
            entry = Entry(name, 1 if isinstance(content, dict) else 2)
            numbers.append(len(self.entries))
            self.entries.append(entry)
            if isinstance(content, dict):
                entry.child = self.add(content)
            elif content:
                entry.start = self.put_small(content) if len(content) < CUTOFF else self.put(content)
                entry.size = len(content)
        for one, other in pairwise(numbers):
            self.entries[one].right = other
        return numbers[0] if numbers else NONE


def ole_file(tree: Tree) -> bytes:
    """The file as bytes."""
    writer = Writer()
    root = Entry("Root Entry", 5)
    writer.entries.append(root)
    root.child = writer.add(tree)
    root.start, root.size = writer.put(bytes(writer.mini)), len(writer.mini)
    mini_fat = b"".join(struct.pack("<I", each) for each in writer.mini_fat)
    mini_fat_at = writer.put(mini_fat)
    directory_at = writer.put(b"".join(_entry(each) for each in writer.entries))
    fat_count = 1
    while (len(writer.sectors) + fat_count) * 4 > fat_count * SECTOR:
        fat_count += 1
    fat_at = len(writer.sectors)
    fat = writer.fat + [FAT_SECTOR] * fat_count
    table = b"".join(struct.pack("<I", each) for each in fat).ljust(fat_count * SECTOR, b"\xff")
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + b"\0" * 6
    mini_count = -(-len(mini_fat) // SECTOR)
    head += struct.pack("<IIIIIIIII", 0, fat_count, directory_at, 0, CUTOFF, mini_fat_at, mini_count, END, 0)
    head += b"".join(struct.pack("<I", fat_at + each if each < fat_count else FREE) for each in range(109))
    return head.ljust(SECTOR, b"\0") + b"".join(writer.sectors) + table


def _entry(entry: Entry) -> bytes:
    name = entry.name.encode("utf-16-le") + b"\0\0"
    row = name.ljust(64, b"\0") + struct.pack("<HBB", len(name), entry.kind, 1)
    row += struct.pack("<III", NONE, entry.right, entry.child) + b"\0" * 36
    return row + struct.pack("<IQ", entry.start, entry.size)
