"""What the documents say is true: settings, error codes, rooms, commands and links."""

import importlib
import re

import pytest
import typer.main

from rag_app.api.errors import STATUS
from rag_app.errors import all_codes
from rag_app.settings import PREFIX, Settings
from tests.house.source import PACKAGE, ROOT, nothing, read, tracked_files

DOCUMENTS = [name for name in tracked_files() if name.endswith(".md") and not name.startswith("tests/")]


def rows(document: str, first: str) -> dict[str, list[str]]:
    """Rows of the table whose first heading is this; by the text of their first cell without backquotes."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in read(document).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if cells and cells[0] == first:
            inside = True
        elif inside and not cells:
            return found
        elif inside and set(cells[0]) != {"-"}:
            found[cells[0].strip("`")] = cells[1:]
    return found


def blocks(document: str) -> list[str]:
    """The fenced code blocks of a document."""
    return re.findall(r"```\w*\n(.*?)```", read(document), re.DOTALL)


def default_of(name: str) -> str:
    """The default of a setting as the table writes it."""
    value = str(Settings.model_fields[name].get_default())
    return f"`{value}`" if value else "empty"


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {name: cells[0] for name, cells in rows("docs/operations.md", "setting").items()}
    assert documented == {PREFIX + name.upper(): default_of(name) for name in Settings.model_fields}


def test_every_error_code_is_documented_with_its_status() -> None:
    documented = {name: int(cells[0]) for name, cells in rows("docs/api.md", "code").items()}
    assert documented == STATUS


def test_every_error_code_has_a_status() -> None:
    assert set(STATUS) == set(all_codes())


def test_the_rooms_in_the_picture_are_those_on_disk() -> None:
    picture = blocks("docs/architecture.md")[0].split(f"{PACKAGE}/\n", 1)[1]
    drawn = {match.group(1) for match in re.finditer(r"^  (\w+(?:/|\.py))", picture, re.MULTILINE)}
    parts = [name.split("/") for name in tracked_files() if name.startswith(f"{PACKAGE}/")]
    there = {part[1] + "/" if len(part) > 2 else part[1] for part in parts}
    assert drawn == there - {"__init__.py", "__main__.py", "py.typed"}


def test_every_dependency_is_justified() -> None:
    table = ", ".join(rows("docs/architecture.md", "dependency"))
    lines = read("requirements.in").splitlines()
    names = {re.split(r"[\[=<>~ ]", line)[0].lower() for line in lines if line and not line.startswith("#")}
    assert set(table.split(", ")) == names


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "docs/operations.md"])
def test_the_commands_in_a_document_exist(document: str) -> None:
    text = read(document)
    scripts = set(re.findall(r"\bscripts/(\w+)", text))
    nothing([name for name in scripts if not (ROOT / "scripts" / name).stat().st_mode & 0o100])
    nothing(sorted(set(re.findall(r"-m rag_app (\w+)", text)) - commands()))


def commands() -> set[str]:
    """The commands that the program knows."""
    module = importlib.import_module(f"{PACKAGE}.cli")
    return set(getattr(typer.main.get_command(module.app), "commands", {}))


def test_links_between_documents_lead_somewhere() -> None:
    found = []
    for document in DOCUMENTS:
        for target in re.findall(
            r"\]\(([^)#\s]+)(?:#[^)]*)?\)", re.sub(r"```.*?```", "", read(document), flags=re.DOTALL)
        ):
            if "://" not in target and not ((ROOT / document).parent / target).exists():
                found.append(f"{document} links to {target}")
    nothing(found)


def test_settings_named_in_documents_exist() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {"RAG_BENCH_DATA"}
    found = [(document, name) for document in DOCUMENTS for name in re.findall(r"\bRAG_[A-Z_]+\b", read(document))]
    nothing([f"{document} names {name}" for document, name in found if name not in known and name != PREFIX])
