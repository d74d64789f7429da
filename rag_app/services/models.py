"""Model providers of a workspace: their keys (which go in and never come out), trials, and the default models."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.database.columns import now
from rag_app.database.people import Provider, Workspace
from rag_app.errors import Conflict, InvalidInput, NotFound, ProviderError, SettingsError
from rag_app.providers.catalogue import PROVIDERS, label_of
from rag_app.providers.credentials import (
    Credentials,
    Keyring,
    configured_in_environment,
    from_environment,
    provider_of,
    route_to,
)
from rag_app.providers.library import provider_egress
from rag_app.providers.local_embedder import NAME as BUNDLED_EMBEDDER
from rag_app.providers.probes import OllamaFound, TrialOutcome, detect_ollama, is_embedder, list_served, try_provider
from rag_app.services.audit import record
from rag_app.services.context import Context
from rag_app.services.embedding import secret_place, workspace_keyring
from rag_app.services.permissions import Actor, permit

COMPATIBLE = "compatible"
EXTRACTIVE = "local/extractive"
BUNDLED = (EXTRACTIVE, BUNDLED_EMBEDDER)
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,39}")
_KEY = re.compile(r"[\x21-\x7e]{1,2000}")
_MODEL = re.compile(r"[\x21-\x7e]{1,200}")
_HINT = 4
_SHORTEST_WITH_HINT = 16


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A configured provider. Of its key nobody sees more than the last characters (`key_hint`)."""

    id: UUID
    provider: str
    label: str
    name: str
    base_url: str
    has_key: bool
    key_hint: str
    key_readable: bool  # False: sealed with another secret key, so it must be entered again
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """What a person enters for a provider."""

    provider: str
    api_key: str = ""
    base_url: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ProviderChange:
    """What to change; None leaves it as it is, an empty text removes it."""

    name: str | None = None
    base_url: str | None = None
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class ModelsView:
    """The models a workspace can choose from, and the ones it has chosen."""

    default_chat_model: str
    default_embedding_model: str
    chat_models: tuple[str, ...]
    embedding_models: tuple[str, ...]
    from_environment: tuple[str, ...]  # providers whose key stands in the server's environment
    ollama: OllamaFound | None


async def list_providers(context: Context, actor: Actor) -> list[ProviderView]:
    """The providers of the workspace, by name."""
    permit(actor, "model.read")
    async with context.transaction() as session:
        rows = await _rows(session, actor.workspace_id)
    return [_view(context, row) for row in rows]


async def add_provider(context: Context, actor: Actor, entry: ProviderEntry) -> ProviderView:
    """Keep a provider with its key, encrypted. Raises InvalidInput, Conflict when the workspace has it already.

    An address in a private network raises BlockedAddress unless the settings name it.
    """
    permit(actor, "model.manage")
    await _check(entry, has_key=bool(entry.api_key))
    async with context.transaction() as session:
        await _lock(session, actor.workspace_id)
        if any(row.provider == entry.provider for row in await _rows(session, actor.workspace_id)):
            raise Conflict(f"{label_of(entry.provider, None)} is there already: change its entry.")
        row = Provider(
            workspace_id=actor.workspace_id, provider=entry.provider, name=entry.name, base_url=entry.base_url
        )
        row.secret = _sealed(context, row.id, entry.api_key)
        session.add(row)
        record(session, actor, "provider_added", row.id, provider=row.provider)
        await session.flush()
        await session.refresh(row)
    return _view(context, row)


async def change_provider(context: Context, actor: Actor, provider_id: UUID, change: ProviderChange) -> ProviderView:
    """Change a provider. A new address asks for the key again, or the stored one could be sent to anywhere."""
    permit(actor, "model.manage")
    async with context.transaction() as session:
        row = await _row(session, actor, provider_id)
    moves = change.base_url is not None and change.base_url != row.base_url
    if moves and row.secret and change.api_key is None:
        raise InvalidInput("Enter the key again when the address changes.", field="api_key")
    has_key = bool(change.api_key) if change.api_key is not None else row.secret is not None
    entry = ProviderEntry(
        row.provider,
        change.api_key or "",
        row.base_url if change.base_url is None else change.base_url,
        row.name if change.name is None else change.name,
    )
    await _check(entry, has_key=has_key)
    async with context.transaction() as session:
        row = await _row(session, actor, provider_id)
        row.name, row.base_url, row.updated_at = entry.name, entry.base_url, now()
        if change.api_key is not None:
            row.secret = _sealed(context, row.id, change.api_key)
        session.add(row)
        record(session, actor, "provider_changed", row.id, provider=row.provider)
    return _view(context, row)


async def remove_provider(context: Context, actor: Actor, provider_id: UUID) -> None:
    """Forget a provider and its key. A default model of it goes back to the server's. Raises NotFound."""
    permit(actor, "model.manage")
    async with context.transaction() as session:
        row = await _row(session, actor, provider_id)
        workspace = await session.get_one(Workspace, actor.workspace_id)
        if workspace.default_chat_model and provider_of(workspace.default_chat_model) == row.provider:
            workspace.default_chat_model = None
        if workspace.default_embedding_model and provider_of(workspace.default_embedding_model) == row.provider:
            workspace.default_embedding_model = None
        session.add(workspace)
        record(session, actor, "provider_removed", row.id, provider=row.provider)
        await session.delete(row)


async def credentials_for(context: Context, workspace_id: UUID, model: str) -> Credentials:
    """What is needed to reach a model: of the workspace, else of the environment, else nothing but its name."""
    provider = provider_of(model)
    stored = (await workspace_keyring(context, workspace_id)).get(provider)
    return stored or from_environment(provider) or Credentials(provider)


# --- trials -----------------------------------------------------------------------------------------------------


async def try_model(context: Context, actor: Actor, model: str) -> TrialOutcome:
    """Make a real call of a model with what is stored; how long it took, or the reason in words."""
    permit(actor, "model.manage")
    if model in BUNDLED:
        return TrialOutcome(True, 0.0, f"{model} is built in.")
    return await try_provider(await credentials_for(context, actor.workspace_id, _checked_model(model)), model)


async def try_entry(actor: Actor, entry: ProviderEntry, model: str) -> TrialOutcome:
    """Make a real call with credentials that are not stored yet. Raises InvalidInput for an entry that cannot be."""
    permit(actor, "model.manage")
    if provider_of(_checked_model(model)) != entry.provider:
        raise InvalidInput(f"The model's name must begin with {entry.provider}/.", field="model")
    await _check(entry, has_key=bool(entry.api_key))
    return await try_provider(Credentials(entry.provider, entry.api_key or None, entry.base_url or None), model)


# --- defaults ---------------------------------------------------------------------------------------------------


async def read_models(context: Context, actor: Actor) -> ModelsView:
    """The models to choose from (any other name of a configured provider works too), with the present choice."""
    permit(actor, "model.read")
    async with context.transaction() as session:
        rows = await _rows(session, actor.workspace_id)
        workspace = await session.get_one(Workspace, actor.workspace_id)
    ollama, served = await asyncio.gather(detect_ollama(), _served(context, actor.workspace_id, rows))
    environment = tuple(configured_in_environment())
    names = dict.fromkeys([*(row.provider for row in rows), *environment])
    known = [PROVIDERS[name] for name in names if name in PROVIDERS and not (name == "ollama" and ollama)]
    chat = [
        EXTRACTIVE,
        *(ollama.chat_models if ollama else ()),
        *(m for m in served if not is_embedder(m)),
        *(m for each in known for m in each.chat_models),
    ]
    embedders = [
        BUNDLED_EMBEDDER,
        *(ollama.embedding_models if ollama else ()),
        *(m for m in served if is_embedder(m)),
        *(m for each in known for m in each.embedding_models),
    ]
    chosen_chat = workspace.default_chat_model or context.settings.chat_model
    chosen_embedder = workspace.default_embedding_model or context.settings.default_embedding_model
    return ModelsView(
        default_chat_model=chosen_chat,
        default_embedding_model=chosen_embedder,
        chat_models=tuple(dict.fromkeys([*chat, chosen_chat])),
        embedding_models=tuple(dict.fromkeys([*embedders, chosen_embedder])),
        from_environment=environment,
        ollama=ollama,
    )


async def _served(context: Context, workspace_id: UUID, rows: list[Provider]) -> tuple[str, ...]:
    """What the OpenAI-compatible server of the workspace says it has."""
    if not any(row.provider == COMPATIBLE for row in rows):
        return ()
    try:
        found = (await workspace_keyring(context, workspace_id)).get(COMPATIBLE)
    except SettingsError:  # a key that cannot be read any more: the list of providers says so
        return ()
    return await list_served(found) if found else ()


async def set_defaults(
    context: Context, actor: Actor, *, chat_model: str | None = None, embedding_model: str | None = None
) -> ModelsView:
    """Choose the default models; None leaves one as it is, an empty text takes the server's.

    Raises InvalidInput when the provider of a model is not configured.
    """
    permit(actor, "model.manage")
    keys = await workspace_keyring(context, actor.workspace_id)
    for model, bundled in ((chat_model, EXTRACTIVE), (embedding_model, BUNDLED_EMBEDDER)):
        if model and model != bundled:
            _check_reachable(model, keys)
    async with context.transaction() as session:
        workspace = await session.get_one(Workspace, actor.workspace_id)
        if chat_model is not None:
            workspace.default_chat_model = chat_model or None
        if embedding_model is not None:
            workspace.default_embedding_model = embedding_model or None
        session.add(workspace)
        record(session, actor, "default_models_changed", actor.workspace_id)
    return await read_models(context, actor)


async def has_provider(context: Context) -> bool:
    """True when some workspace, the environment or a setting names a model outside, so that LiteLLM will be needed."""
    if configured_in_environment() or context.settings.chat_model != EXTRACTIVE:
        return True
    async with context.transaction() as session:
        return (await session.exec(select(col(Provider.id)).limit(1))).first() is not None


# --- rules ------------------------------------------------------------------------------------------------------


async def _check(entry: ProviderEntry, *, has_key: bool) -> None:
    known = PROVIDERS.get(entry.provider)
    if not _NAME.fullmatch(entry.provider) or entry.provider == "local":
        raise InvalidInput("There is no such provider.", field="provider")
    if len(entry.name) > 100 or not entry.name.isprintable():
        raise InvalidInput("A name has at most 100 visible characters.", field="name")
    if entry.api_key and not _KEY.fullmatch(entry.api_key):
        raise InvalidInput("The key holds a space or a character that no key has.", field="api_key")
    if (known is None or known.needs_key) and not has_key and from_environment(entry.provider) is None:
        raise InvalidInput("This provider needs a key.", field="api_key")
    if known is not None and known.needs_url and not entry.base_url:
        raise InvalidInput("This provider needs an address.", field="base_url")
    if entry.base_url and (known is None or not known.takes_url):
        raise InvalidInput("This provider has no address of its own.", field="base_url")
    if entry.base_url:
        await provider_egress().check(entry.base_url)


def _check_reachable(model: str, keys: Keyring) -> None:
    if model in BUNDLED:
        raise InvalidInput(f"{model} is not of that kind.", field="model")
    try:
        route_to(_checked_model(model), keys)
    except ProviderError as problem:
        raise InvalidInput(problem.message, field="model") from problem


def _checked_model(model: str) -> str:
    if not _MODEL.fullmatch(model):
        raise InvalidInput("This is not the name of a model.", field="model")
    return model


async def _rows(session: AsyncSession, workspace_id: UUID) -> list[Provider]:
    wanted = select(Provider).where(col(Provider.workspace_id) == workspace_id).order_by(col(Provider.provider))
    return list((await session.exec(wanted)).all())


async def _row(session: AsyncSession, actor: Actor, provider_id: UUID) -> Provider:
    row = await session.get(Provider, provider_id)
    if row is None or row.workspace_id != actor.workspace_id:
        raise NotFound
    return row


async def _lock(session: AsyncSession, workspace_id: UUID) -> None:
    await session.execute(select(Workspace.id).where(col(Workspace.id) == workspace_id).with_for_update())


def _sealed(context: Context, provider_id: UUID, api_key: str) -> bytes | None:
    return context.keys.seal(api_key, bound_to=secret_place(provider_id)) if api_key else None


def _view(context: Context, row: Provider) -> ProviderView:
    hint, readable = "", True
    if row.secret:
        try:
            key = context.keys.open(row.secret, bound_to=secret_place(row.id))
        except SettingsError:
            readable = False
        else:
            hint = key[-_HINT:] if len(key) >= _SHORTEST_WITH_HINT else ""
    return ProviderView(
        id=row.id,
        provider=row.provider,
        label=label_of(row.provider, row.base_url or None),
        name=row.name,
        base_url=row.base_url,
        has_key=row.secret is not None,
        key_hint=hint,
        key_readable=readable,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
