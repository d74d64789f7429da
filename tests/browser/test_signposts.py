"""What a page says of itself: many uploads folded to what was refused, an answer without a source, a closed page."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import Product
from tests.provider_double import Answer

pytestmark = pytest.mark.browser


@pytest.fixture
def base(product: Product, owner: dict[str, str]) -> Iterator[tuple[httpx.Client, str]]:
    """A client of the owner and the id of a fresh knowledge base."""
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, cookies=owner, trust_env=False) as client:
        made = client.post("/api/v1/knowledge-bases", json={"name": "Signposts"})
        assert made.status_code == 201, made.text
        product.provider.reset()
        yield client, made.json()["id"]
        product.provider.reset()
        assert client.delete(f"/api/v1/knowledge-bases/{made.json()['id']}").status_code in (202, 204)


def test_many_uploads_fold_to_what_was_refused(
    signed_in: Page, product: Product, base: tuple[httpx.Client, str]
) -> None:
    signed_in.goto(f"{product.address}/knowledge/{base[1]}")
    expect(signed_in.get_by_role("heading", name="No documents yet")).to_be_visible()
    files: list[FilePayload] = [
        {"name": f"note-{n}.md", "mimeType": "text/markdown", "buffer": f"Note {n} speaks of tulips.".encode()}
        for n in range(5)
    ]
    files.insert(2, {"name": "program.exe", "mimeType": "text/plain", "buffer": b"MZ\x00\x01\x02 not text"})
    with signed_in.expect_file_chooser() as chosen:
        signed_in.get_by_role("button", name="Choose files").click()
    chosen.value.set_files(files)
    expect(signed_in.get_by_role("status").filter(has_text="5 added, 1 refused")).to_be_visible()
    rows = signed_in.get_by_role("list", name="Uploads").get_by_role("listitem")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("program.exe")
    signed_in.get_by_role("button", name="Show all 6").click()
    expect(rows).to_have_count(6)
    expect(rows.first).to_contain_text("program.exe")


def test_an_answer_without_a_source_is_marked(
    signed_in: Page, product: Product, base: tuple[httpx.Client, str]
) -> None:
    client, kb = base
    entry = {"provider": "compatible", "base_url": product.provider.base_url, "api_key": "sk-double"}
    assert client.post("/api/v1/providers", json=entry).status_code in (201, 409)
    new = {"name": "Forgetful", "model": "compatible/double-large", "knowledge_base_ids": [kb]}
    bot = client.post("/api/v1/bots", json=new).json()["id"]
    texts = {"texts": [{"title": "Hotel", "text": "The hotel limit is 140 euros per night."}]}
    assert client.post(f"/api/v1/knowledge-bases/{kb}/documents", json=texts).status_code == 202
    signed_in.goto(f"{product.address}/knowledge/{kb}")
    rows = signed_in.get_by_role("table", name="Documents").get_by_role("row")
    expect(rows.filter(has_text="ready")).to_have_count(1, timeout=60_000)
    sentence = "No source found for this answer."
    for said, marked in (("Something from memory.", True), ("The hotel limit is 140 euros per night [1].", False)):
        product.provider.script(Answer(said))
        signed_in.goto(f"{product.address}/chat?bot={bot}")
        field = signed_in.get_by_label("Question", exact=True)
        expect(signed_in.get_by_role("heading", name="What would you like to know?")).to_be_visible()
        field.fill("What is the hotel limit?")
        field.press("Enter")
        expect(signed_in.locator(".reply-foot")).to_have_count(1)
        expect(signed_in.get_by_text(sentence)).to_have_count(int(marked))
    assert client.delete(f"/api/v1/bots/{bot}").status_code == 204
