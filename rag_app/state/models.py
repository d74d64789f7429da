"""Model providers and default models. A key that is entered goes to the service and is never kept or sent back here."""

from typing import Any

import reflex as rx

from rag_app.errors import InvalidInput
from rag_app.providers.catalogue import PROVIDERS
from rag_app.services.models import (
    COMPATIBLE,
    ProviderChange,
    ProviderEntry,
    ProviderView,
    add_provider,
    change_provider,
    list_providers,
    read_models,
    remove_provider,
    set_defaults,
    try_model,
)
from rag_app.state.rows import Choice, OfferRow, ProviderRow
from rag_app.state.session import SessionState, as_id, as_text
from rag_app.state.surroundings import surroundings
from rag_app.state.wording import milliseconds, model_label


class ModelsState(SessionState):
    """What /models shows."""

    rows: list[ProviderRow] = []
    offers: list[OfferRow] = []
    chat_models: list[Choice] = []
    embedding_models: list[Choice] = []
    chat_model: str = ""
    embedding_model: str = ""
    ollama: str = ""
    ollama_models: str = ""
    ollama_taken: bool = False
    from_environment: str = ""
    loaded: bool = False
    problem: str = ""
    form: str = ""  # "" | the provider that is added or changed
    form_id: str = ""
    form_title: str = ""
    form_help: str = ""
    form_url: str = ""
    form_takes_url: bool = False
    form_needs_url: bool = False
    form_needs_key: bool = True
    form_key_hint: str = ""
    form_problem: str = ""
    doomed_id: str = ""
    doomed_name: str = ""
    trial_model: str = ""
    trial_text: str = ""
    trial_tone: str = ""
    trying_now: bool = False

    @rx.event
    async def load(self) -> None:
        """Read providers and models."""
        self.form, self.trial_text, self.doomed_id = "", "", ""
        async with self._trying("problem"):
            await self._recognise()
            await self._read()

    async def _read(self) -> None:
        context, actor = surroundings(), await self._actor()
        views = await list_providers(context, actor)
        models = await read_models(context, actor)
        self.rows = [provider_row(view) for view in views]
        taken = {view.provider for view in views}
        self.ollama_taken = "ollama" in taken
        self.offers = [
            OfferRow(each.name, each.label, each.help) for each in PROVIDERS.values() if each.name not in taken
        ]
        self.chat_models = [Choice(name, model_label(name)) for name in models.chat_models]
        self.embedding_models = [Choice(name, model_label(name)) for name in models.embedding_models]
        self.chat_model, self.embedding_model = models.default_chat_model, models.default_embedding_model
        self.from_environment = ", ".join(
            PROVIDERS[name].label for name in models.from_environment if name in PROVIDERS
        )
        found = models.ollama
        self.ollama = found.base_url if found else ""
        self.ollama_models = ", ".join(found.chat_models) if found else ""
        self.loaded = True

    @rx.event
    async def open_form(self, provider: str) -> None:
        """Ask for key and address of a provider."""
        known = PROVIDERS.get(as_text(provider, 50))
        if known is None:
            return
        row = next((row for row in self.rows if row.provider == known.name), None)
        self.form, self.form_title, self.form_help = known.name, known.label, known.help
        self.form_takes_url, self.form_needs_key = known.takes_url, known.needs_key
        self.form_needs_url = known.needs_url
        self.form_id, self.form_url = (row.id, row.base_url) if row else ("", "")
        self.form_key_hint = f"A key that ends in …{row.key_hint} is stored." if row and row.key_hint else ""
        self.form_problem = ""

    @rx.event
    def close_form(self) -> None:
        """Never mind."""
        self.form = ""

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Store a provider; what was typed as a key is not kept here."""
        key, url = as_text(form.get("api_key"), 2000).strip(), as_text(form.get("base_url"), 2000).strip()
        async with self._trying("form_problem"):
            context, actor = surroundings(), await self._actor()
            if self.form_id:
                change = ProviderChange(base_url=url if self.form_takes_url else None, api_key=key or None)
                await change_provider(context, actor, as_id(self.form_id), change)
            else:
                await add_provider(context, actor, ProviderEntry(self.form, key, url))
            saved, self.form = self.form, ""
            await self._read()
            listed = saved != COMPATIBLE or any(each.id.startswith(f"{saved}/") for each in self.chat_models)
            self._say(
                "Saved. Test it, then choose it as the default below."
                if listed
                else f"Saved. The server did not say which models it has: type one below as {saved}/NAME."
            )

    @rx.event
    def ask_remove(self, provider_id: str) -> None:
        """Ask before a provider is removed."""
        row = next((row for row in self.rows if row.id == provider_id), None)
        self.doomed_id, self.doomed_name = (row.id, row.label) if row else ("", "")

    @rx.event
    def keep(self) -> None:
        """Do not remove it."""
        self.doomed_id = ""

    @rx.event
    async def remove(self) -> None:
        """Remove the provider that was asked about."""
        doomed, self.doomed_id = self.doomed_id, ""
        async with self._trying():
            await remove_provider(surroundings(), await self._actor(), as_id(doomed))
            await self._read()

    @rx.event
    async def choose(self, form: dict[str, Any]) -> None:
        """Set the default models; a name typed by hand wins over the list."""
        async with self._trying("problem"):
            chat = as_text(form.get("other"), 200).strip() or as_text(form.get("chat_model"), 200)
            embedder = as_text(form.get("embedding_model"), 200)
            if not chat or not embedder:
                raise InvalidInput("Choose a model for answers and one for embedding.")
            await set_defaults(surroundings(), await self._actor(), chat_model=chat, embedding_model=embedder)
            self._say("Saved.")
            await self._read()

    @rx.event(background=True)
    async def test(self, form: dict[str, Any]) -> None:
        """Make a real call of a model and say how it went."""
        model = as_text(form.get("model"), 200).strip()
        async with self:
            if self.trying_now or not model:
                return
            self.trying_now, self.trial_model, self.trial_text = True, model, ""
            actor = await self._actor()
        text, tone = "The test could not be made.", "bad"
        try:
            outcome = await try_model(surroundings(), actor, model)
            text = f"{outcome.message} ({milliseconds(outcome.took_ms)})"
            tone = "good" if outcome.ok else "bad"
        finally:
            async with self:
                self.trying_now, self.trial_text, self.trial_tone = False, text, tone


def provider_row(view: ProviderView) -> ProviderRow:
    """A provider as the list shows it."""
    known = PROVIDERS.get(view.provider)
    first = (known.chat_models or known.embedding_models) if known else ()
    key = f"key …{view.key_hint}" if view.key_hint else "key stored" if view.has_key else "no key"
    return ProviderRow(
        id=str(view.id),
        provider=view.provider,
        label=view.label,
        base_url=view.base_url,
        key=key if view.key_readable else "the key must be entered again",
        key_hint=view.key_hint,
        model=first[0] if first else "",
    )
