"""Models and their providers over REST. Keys go in and never come out."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import StringConstraints, model_validator

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, PlainText, Shape, View, whole_listing
from rag_app.providers.catalogue import PROVIDERS
from rag_app.services import models
from rag_app.services.models import ProviderChange, ProviderEntry

router = APIRouter(tags=["models"], route_class=IdempotentRoute)
Model = Annotated[PlainText, StringConstraints(max_length=200)]
Name = Annotated[PlainText, StringConstraints(max_length=100)]
Url = Annotated[PlainText, StringConstraints(max_length=2000)]
Key = Annotated[PlainText, StringConstraints(max_length=2000)]
ProviderName = Annotated[PlainText, StringConstraints(min_length=2, max_length=40)]


class OllamaAnswer(View):
    """An Ollama that answers on this machine."""

    base_url: str
    chat_models: list[str]
    embedding_models: list[str]


class ModelsAnswer(View):
    """The models to choose from, and the ones chosen; any other name of a configured provider works too."""

    default_chat_model: str
    default_embedding_model: str
    chat_models: list[str]
    embedding_models: list[str]
    from_environment: list[str]
    ollama: OllamaAnswer | None


class DefaultsChange(Shape):
    """The default models; an empty text takes the server's."""

    default_chat_model: Model | None = None
    default_embedding_model: Model | None = None


class KnownProvider(View):
    """A provider that the product knows by name, and what it asks for."""

    name: str
    label: str
    help: str
    key_variable: str
    chat_models: list[str]
    embedding_models: list[str]
    needs_key: bool
    needs_url: bool
    takes_url: bool


class ProviderAnswer(View):
    """A configured provider."""

    id: UUID
    provider: str
    label: str
    name: str
    base_url: str
    has_key: bool
    key_hint: str
    key_readable: bool
    created_at: datetime
    updated_at: datetime


class NewProvider(Shape):
    """A provider with its key."""

    provider: ProviderName
    api_key: Key = ""
    base_url: Url = ""
    name: Name = ""


class ProviderPatch(Shape):
    """What to change; a new address asks for the key again."""

    name: Name | None = None
    base_url: Url | None = None
    api_key: Key | None = None


class Trial(Shape):
    """A model to try: with what is stored, or with credentials that are not stored yet."""

    model: Annotated[PlainText, StringConstraints(min_length=1, max_length=200)]
    provider: ProviderName | None = None
    api_key: Key = ""
    base_url: Url = ""

    @model_validator(mode="after")
    def _whole(self) -> "Trial":
        if self.provider is None and (self.api_key or self.base_url):
            raise ValueError("api_key and base_url need a provider")
        return self


class TrialAnswer(View):
    """Whether the call worked, how long it took, and a sentence that says so."""

    ok: bool
    took_ms: float
    message: str


@router.get("/models")
async def read_models(context: ContextDep, actor: ActorDep) -> ModelsAnswer:
    """The models to choose from, and the ones chosen."""
    return ModelsAnswer.model_validate(await models.read_models(context, actor))


@router.patch("/models")
async def set_defaults(body: DefaultsChange, context: ContextDep, actor: ActorDep) -> ModelsAnswer:
    """Choose the default models."""
    chosen = await models.set_defaults(
        context, actor, chat_model=body.default_chat_model, embedding_model=body.default_embedding_model
    )
    return ModelsAnswer.model_validate(chosen)


@router.post("/models/test")
async def try_model(body: Trial, context: ContextDep, actor: ActorDep) -> TrialAnswer:
    """Make a real call of a model."""
    if body.provider is None:
        return TrialAnswer.model_validate(await models.try_model(context, actor, body.model))
    entry = ProviderEntry(body.provider, body.api_key, body.base_url)
    return TrialAnswer.model_validate(await models.try_entry(actor, entry, body.model))


@router.get("/providers/known")
async def list_known_providers(actor: ActorDep) -> Listing[KnownProvider]:  # noqa: ARG001 - signed-in callers only
    """The providers that the product knows by name."""
    return whole_listing(PROVIDERS.values(), KnownProvider.model_validate)


@router.get("/providers")
async def list_providers(context: ContextDep, actor: ActorDep) -> Listing[ProviderAnswer]:
    """The configured providers."""
    return whole_listing(await models.list_providers(context, actor), ProviderAnswer.model_validate)


@router.post("/providers", status_code=201)
async def add_provider(body: NewProvider, context: ContextDep, actor: ActorDep) -> ProviderAnswer:
    """Keep a provider with its key, encrypted."""
    entry = ProviderEntry(body.provider, body.api_key, body.base_url, body.name)
    return ProviderAnswer.model_validate(await models.add_provider(context, actor, entry))


@router.patch("/providers/{provider_id}")
async def change_provider(
    provider_id: UUID, body: ProviderPatch, context: ContextDep, actor: ActorDep
) -> ProviderAnswer:
    """Change a provider."""
    change = ProviderChange(body.name, body.base_url, body.api_key)
    return ProviderAnswer.model_validate(await models.change_provider(context, actor, provider_id, change))


@router.delete("/providers/{provider_id}", status_code=204)
async def remove_provider(provider_id: UUID, context: ContextDep, actor: ActorDep) -> None:
    """Forget a provider and its key."""
    await models.remove_provider(context, actor, provider_id)
