"""The project's own source as the house rules see it: modules with their syntax trees, and tracked files."""

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "rag_app"
# Not part of the project when there is no git to ask.
LEFT_OUT = {".git", ".venv", ".web", ".states", "data", "node_modules", "__pycache__", "results", "uploaded_files"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: str  # from the root, with slashes
    text: str

    @property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return _parse(self.text)

    @property
    def name(self) -> str:
        """The dotted name; a package goes by the name of its folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def room(self) -> str:
        """The part of the package it stands in: `rag_app/chat/answer.py` is in `chat`, `rag_app/cli.py` is `cli`."""
        parts = self.name.split(".")
        return parts[1] if len(parts) > 1 else ""

    def functions(self) -> Iterator[tuple[str, Function]]:
        """All functions and methods with their dotted name inside the module."""
        yield from _functions_in(self.tree, "")


@lru_cache(maxsize=2000)
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def _functions_in(node: ast.AST, prefix: str) -> Iterator[tuple[str, Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield prefix + child.name, child
            yield from _functions_in(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.ClassDef):
            yield from _functions_in(child, f"{prefix}{child.name}.")
        else:
            yield from _functions_in(child, prefix)


@lru_cache(maxsize=1)
def tracked_files() -> tuple[str, ...]:
    """Every file of the project, from the root, with slashes: committed ones and new ones that are not ignored."""
    asked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if asked.returncode == 0:
        names = set(asked.stdout.splitlines())
    else:
        paths = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        names = {path.as_posix() for path in paths if not LEFT_OUT & set(path.parts)}
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


@lru_cache(maxsize=8)
def modules(*roots: str) -> tuple[Module, ...]:
    """All Python files under these folders."""
    names = (name for name in tracked_files() if name.endswith(".py") and name.split("/")[0] in roots)
    return tuple(Module(name, (ROOT / name).read_text(encoding="utf-8")) for name in names)


def read(name: str) -> str:
    """A text file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def nothing(found: list[str]) -> None:
    """Fail with every finding on a line of its own."""
    if found:
        pytest.fail(f"{len(found)} found:\n" + "\n".join(found), pytrace=False)
