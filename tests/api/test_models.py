"""Model providers over REST: keys go in and never come out, trials are real calls."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import text

from rag_app.errors import InvalidInput, SettingsError
from rag_app.security import KeyRing
from rag_app.services import models
from rag_app.services.context import Context
from rag_app.services.embedding import workspace_keyring
from rag_app.services.models import ProviderChange
from rag_app.settings import get_settings
from tests.api.cast import Cast
from tests.provider_double import ProviderDouble
from tests.workspaces import make_actor

PROVIDERS = "/api/v1/providers"
MODELS = "/api/v1/models"
KEY = "sk-a-secret-of-the-tests-0123wxyz"


@pytest.fixture
async def browser(cast: Cast) -> httpx.AsyncClient:
    """The owner's browser."""
    return await cast.browser(await cast.sign_in())


@pytest.fixture
def reachable(provider: ProviderDouble, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    """A provider on this machine that the operator has allowed."""
    monkeypatch.setenv("RAG_ALLOWED_PRIVATE_HOSTS", f"127.0.0.1:{provider.port}")
    get_settings.cache_clear()
    yield provider
    get_settings.cache_clear()


async def test_a_key_goes_in_and_never_comes_out(browser: httpx.AsyncClient, cast: Cast, context: Context) -> None:
    made = await browser.post(PROVIDERS, json={"provider": "openai", "api_key": KEY, "name": "Ours"})
    assert made.status_code == 201, made.text
    assert made.json()["key_hint"] == "wxyz"
    seen = [made, await browser.get(PROVIDERS), await browser.get(MODELS)]
    seen.append(await browser.patch(f"{PROVIDERS}/{made.json()['id']}", json={"name": "Theirs"}))
    assert all(answer.status_code < 300 for answer in seen)
    assert not any(KEY in answer.text for answer in seen)
    assert "openai/gpt-4o-mini" in seen[2].json()["chat_models"]
    async with context.transaction() as session:
        sealed = (await session.execute(text("SELECT secret FROM providers"))).scalar_one()
        audited = (await session.execute(text("SELECT a::text FROM audit_events a"))).scalars().all()
    assert KEY.encode() not in bytes(sealed)
    assert not any(KEY in each for each in audited)
    owner = await cast.owner()
    assert (await workspace_keyring(context, owner.workspace_id))["openai"].api_key == KEY


async def test_a_sealed_key_opens_only_in_its_row(browser: httpx.AsyncClient, context: Context) -> None:
    for name in ("openai", "mistral"):
        await browser.post(PROVIDERS, json={"provider": name, "api_key": f"{name}-{KEY}"})
    async with context.transaction() as session:
        await session.execute(
            text(
                "UPDATE providers SET secret = (SELECT secret FROM providers WHERE provider = 'openai') "
                "WHERE provider = 'mistral'"
            )
        )
    listed = {each["provider"]: each for each in (await browser.get(PROVIDERS)).json()["items"]}
    assert listed["openai"]["key_readable"] is True
    assert (listed["mistral"]["key_readable"], listed["mistral"]["key_hint"]) == (False, "")


async def test_the_key_does_not_follow_to_another_address(context: Context) -> None:
    actor = await make_actor(context)
    entry = models.ProviderEntry("openai", KEY)
    made = await models.add_provider(context, actor, entry)
    with pytest.raises(InvalidInput, match="again"):
        await models.change_provider(context, actor, made.id, ProviderChange(base_url="https://8.8.8.8/v1"))
    moved = await models.change_provider(
        context, actor, made.id, ProviderChange(base_url="https://8.8.8.8/v1", api_key="sk-other-0123456789abcd")
    )
    assert (moved.base_url, moved.key_hint) == ("https://8.8.8.8/v1", "abcd")


async def test_entries_that_cannot_work_are_refused(browser: httpx.AsyncClient) -> None:
    for body in [
        {"provider": "openai"},
        {"provider": "local", "api_key": KEY},
        {"provider": "../x", "api_key": KEY},
        {"provider": "openai", "api_key": "two words"},
        {"provider": "gemini", "api_key": KEY, "base_url": "https://8.8.8.8"},
        {"provider": "compatible", "api_key": KEY},
        {"provider": "compatible", "base_url": "http://169.254.169.254/latest"},
        {"provider": "compatible", "base_url": "http://127.0.0.1:5432/v1"},
        {"provider": "compatible", "base_url": "file:///etc/passwd"},
        {"provider": "openai", "api_key": KEY, "workspace_id": "00000000-0000-0000-0000-000000000000"},
    ]:
        assert (await browser.post(PROVIDERS, json=body)).status_code == 422, body
    assert (await browser.get(PROVIDERS)).json()["items"] == []
    await browser.post(PROVIDERS, json={"provider": "openai", "api_key": KEY})
    assert (await browser.post(PROVIDERS, json={"provider": "openai", "api_key": KEY})).status_code == 409


async def test_a_trial_is_a_real_call(browser: httpx.AsyncClient, reachable: ProviderDouble) -> None:
    entry = {"provider": "compatible", "api_key": KEY, "base_url": reachable.base_url}
    unsaved = await browser.post(f"{MODELS}/test", json={**entry, "model": "compatible/double-large"})
    assert unsaved.json()["ok"] is True, unsaved.text
    assert unsaved.json()["took_ms"] > 0
    assert len(reachable.requests) == 1
    assert (await browser.post(PROVIDERS, json=entry)).status_code == 201
    stored = await browser.post(f"{MODELS}/test", json={"model": "compatible/double-large"})
    assert stored.json()["ok"] is True
    assert len(reachable.requests) == 2
    missing = await browser.post(f"{MODELS}/test", json={"model": "anthropic/claude-haiku-4-5"})
    assert missing.json()["ok"] is False
    assert "key" in missing.json()["message"].lower()
    built_in = await browser.post(f"{MODELS}/test", json={"model": "local/extractive"})
    assert built_in.json()["ok"] is True


async def test_the_default_models_are_ones_that_can_be_reached(browser: httpx.AsyncClient) -> None:
    before = (await browser.get(MODELS)).json()
    assert before["default_chat_model"] == "local/extractive"
    assert before["default_embedding_model"] == "local/wordllama-256"
    for body in [
        {"default_chat_model": "openai/gpt-4o-mini"},
        {"default_chat_model": "local/wordllama-256"},
        {"default_embedding_model": "local/extractive"},
        {"default_chat_model": "a b"},
    ]:
        assert (await browser.patch(MODELS, json=body)).status_code == 422, body
    made = await browser.post(PROVIDERS, json={"provider": "openai", "api_key": KEY})
    chosen = await browser.patch(MODELS, json={"default_chat_model": "openai/gpt-4o-mini"})
    assert chosen.json()["default_chat_model"] == "openai/gpt-4o-mini"
    assert chosen.json()["default_embedding_model"] == "local/wordllama-256"
    assert (await browser.delete(f"{PROVIDERS}/{made.json()['id']}")).status_code == 204
    assert (await browser.get(MODELS)).json()["default_chat_model"] == "local/extractive"


async def test_a_viewer_sees_models_and_changes_none(cast: Cast, browser: httpx.AsyncClient) -> None:
    made = await browser.post(PROVIDERS, json={"provider": "openai", "api_key": KEY})
    viewer = await cast.browser((await cast.join("viewer")).token)
    assert (await viewer.get(MODELS)).status_code == 200
    path = f"{PROVIDERS}/{made.json()['id']}"
    answers = [
        await viewer.post(PROVIDERS, json={"provider": "mistral", "api_key": KEY}),
        await viewer.patch(path, json={"name": "mine"}),
        await viewer.delete(path),
        await viewer.patch(MODELS, json={"default_chat_model": ""}),
        await viewer.post(f"{MODELS}/test", json={"model": "local/extractive"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5


async def test_litellm_is_needed_only_once_a_provider_exists(context: Context) -> None:
    assert await models.has_provider(context) is False
    await models.add_provider(context, await make_actor(context), models.ProviderEntry("openai", KEY))
    assert await models.has_provider(context) is True


def test_another_secret_key_does_not_open_it() -> None:
    sealed = KeyRing("one secret key that is long enough").seal(KEY, bound_to="providers/1")
    renewed = KeyRing("another secret key that is long enough", "one secret key that is long enough")
    assert renewed.open(sealed, bound_to="providers/1") == KEY
    for ring, place in [(renewed, "providers/2"), (KeyRing("another secret key that is long enough"), "providers/1")]:
        with pytest.raises(SettingsError):
            ring.open(sealed, bound_to=place)
