"""Files and folders of the command line: known by their path, so that adding them again makes versions."""

import os
from pathlib import Path

import pytest

from rag_app.services.bulk import add_sources, path_of
from rag_app.services.context import Context
from rag_app.services.documents import DocumentFilter, list_documents
from rag_app.services.knowledge import find_knowledge_base
from rag_app.services.paging import PageRequest
from rag_app.services.permissions import Actor
from rag_app.services.versions import document_versions
from tests.workspaces import make_actor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of one name in two folders, and one beside them."""
    for name in ("docs/readme.md", "docs/deep/readme.md", "docs/guide.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n\nThe refund takes five days.")
    return tmp_path / "docs"


async def history(context: Context, actor: Actor) -> dict[str | None, int]:
    """How many versions each document has, by its path."""
    base = await find_knowledge_base(context, actor, "Handbook")
    assert base is not None
    page = await list_documents(context, actor, base.id, wanted=DocumentFilter(), page=PageRequest())
    return {each.external_id: len(await document_versions(context, actor, each.id)) for each in page.items}


async def test_a_folder_that_is_added_again_makes_versions_of_what_changed(context: Context, folder: Path) -> None:
    actor = await make_actor(context)
    batch = await add_sources(context, actor, "Handbook", [str(folder)])
    assert (len(batch.documents), batch.unchanged, batch.refused) == (3, 0, [])
    (folder / "guide.md").write_text("The refund takes two days.")
    again = await add_sources(context, actor, "Handbook", [str(folder)])
    assert (len(again.documents), again.unchanged) == (3, 2)
    expected = {"docs/readme.md": 1, "docs/deep/readme.md": 1, "docs/guide.md": 2}
    assert await history(context, actor) == expected
    (folder / "guide.md").write_text("The refund takes one day.")
    await add_sources(context, actor, "Handbook", [str(folder / "guide.md")])
    assert await history(context, actor) == expected | {"docs/guide.md": 3}


def test_a_path_does_not_depend_on_where_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert path_of(Path("guide.md"), Path("guide.md")) == "docs/guide.md"
    assert path_of(Path("deep/readme.md"), Path()) == "docs/deep/readme.md"
    assert path_of(Path("../docs/guide.md"), Path("../docs")) == "docs/guide.md"
    (folder / "latest.md").symlink_to(os.devnull)
    assert path_of(Path("latest.md"), Path("latest.md")) == "docs/latest.md"
