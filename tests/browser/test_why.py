"""From an answer to why it is so: the steps, a missing document, other settings tried and used."""

import time

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Product

pytestmark = pytest.mark.browser
TEXTS = {
    "Refunds": "The refund is paid to the original card within five working days.",
    "Other cards": "A refund takes longer for the card of another person.",
    "Opening hours": "The shop opens at nine and closes at six.",
}


def test_an_answer_is_explained_and_other_settings_are_used(
    signed_in: Page, product: Product, owner: dict[str, str], complaints: list[str]
) -> None:
    headers = {"Origin": product.address, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=product.address, headers=headers, cookies=owner, trust_env=False, timeout=60) as client:
        kb = client.post("/api/v1/knowledge-bases", json={"name": "Explained"}).json()["id"]
        texts = [{"title": title, "text": text} for title, text in TEXTS.items()]
        assert client.post(f"/api/v1/knowledge-bases/{kb}/documents", json={"texts": texts}).status_code == 202
        end = time.monotonic() + 60
        while client.get(f"/api/v1/knowledge-bases/{kb}").json()["documents"]["ready"] < len(TEXTS):
            assert time.monotonic() < end
            time.sleep(0.2)
        new = {"name": "Explainer", "model": "local/extractive", "knowledge_base_ids": [kb]}
        bot = client.post("/api/v1/bots", json=new).json()["id"]
        question = {"message": "When is the refund paid to the card?"}
        said = client.post(f"/api/v1/bots/{bot}/chat", json=question).json()
        signed_in.goto(f"{product.address}/chat/{said['conversation_id']}")
        signed_in.get_by_role("link", name="Why this answer").click()
        expect(signed_in.get_by_role("heading", name="Why this answer")).to_be_visible()
        candidates = signed_in.get_by_role("table", name="Candidates")
        expect(candidates.get_by_role("row").nth(1)).to_contain_text("cited in the answer")
        expect(candidates.get_by_role("columnheader")).to_have_count(6)  # no column of ranks that no reranker gave
        signed_in.get_by_label("Document", exact=True).fill("opening")
        signed_in.get_by_role("button", name="Why not?").click()
        expect(signed_in.get_by_role("status").get_by_role("link", name="Opening hours")).to_be_visible()
        signed_in.get_by_label("Passages", exact=True).fill("1")
        signed_in.get_by_role("button", name="Try", exact=True).click()
        expect(signed_in.get_by_role("table", name="Passages found").last.get_by_role("row")).to_have_count(2)
        signed_in.get_by_role("button", name="Use these settings").click()
        expect(signed_in.get_by_text("searches with these settings from now on")).to_be_visible()
        assert client.get(f"/api/v1/bots/{bot}").json()["retrieval"]["limit"] == 1
        assert complaints == []
        assert client.delete(f"/api/v1/bots/{bot}").status_code == 204
        assert client.delete(f"/api/v1/knowledge-bases/{kb}").status_code in (202, 204)
