"""What another index would take: passages, tokens, price and time, before anything is done.

Tokens are estimated without a tokenizer, as four characters each (one per character of Chinese, Japanese or Korean);
models' own counts differ from that by up to a third.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel.ext.asyncio.session import AsyncSession

from rag_app.ingestion.cutting import Cutting, cut_by, reading_of
from rag_app.ingestion.edit_rows import edited, edits_of
from rag_app.ingestion.edits import Edit
from rag_app.ingestion.parsed import ParsedDocument
from rag_app.ingestion.pieces import estimate_tokens
from rag_app.providers.credentials import route_to
from rag_app.providers.embeddings import BATCH_TEXTS, embed, is_local
from rag_app.providers.library import library
from rag_app.providers.prices import embedding_cost_microusd
from rag_app.retrieval.dense import HNSW_FROM
from rag_app.services.context import Context
from rag_app.services.embedding import workspace_keyring
from rag_app.services.indexes import NewIndex, Wanted, wanted_index
from rag_app.services.knowledge import require_visible
from rag_app.services.permissions import Actor, permit

SAMPLE_DOCUMENTS = 40
SAMPLE_CHARACTERS = 2_000_000
SAMPLE_PASSAGES = 400
# Rough rates of two cores; an estimate is shown as such.
BUNDLED_PER_S = 1_000.0  # passages embedded and stored per second
STORED_PER_S = 2_000.0  # passages stored per second
CUT_PER_S = 500.0  # passages cut, analysed and stored per second
HNSW_PER_S = 5_000.0  # vectors put into an HNSW per second
_PROBE = (
    "A sentence of about the usual length of those that stand in documents, repeated to the size of a passage. " * 8
)

_SIZE = text(
    """
SELECT count(*) AS passages, coalesce(sum(length(p.text) + length(p.context)), 0)::bigint AS characters
FROM passages p JOIN documents d ON d.knowledge_base_id = p.knowledge_base_id AND d.id = p.document_id
WHERE p.knowledge_base_id = :kb AND p.cutting_id = :cutting AND d.deleted_at IS NULL
"""
)
_SAMPLE = text(
    "SELECT p.text, p.context FROM passages p WHERE p.knowledge_base_id = :kb AND p.cutting_id = :cutting "
    "ORDER BY md5(p.id::text) LIMIT :most"
)
_DOCUMENTS = text(
    """
SELECT d.id AS document_id, v.text, v.title, v.language, v.pages, v.blocks, v.places,
       (SELECT count(*) FROM passages p WHERE p.knowledge_base_id = d.knowledge_base_id AND p.version_id = v.id
        AND p.cutting_id = :cutting) AS passages_now
FROM documents d JOIN versions v ON v.knowledge_base_id = d.knowledge_base_id AND v.id = d.active_version_id
WHERE d.knowledge_base_id = :kb AND d.deleted_at IS NULL AND v.passage_count > 0 AND length(v.text) < :longest
ORDER BY md5(d.id::text) LIMIT :most
"""
)
_ALSO_USED_WITH = text(
    """
SELECT DISTINCT b.name FROM bot_knowledge_bases mine JOIN bots b ON b.id = mine.bot_id
JOIN bot_knowledge_bases other ON other.bot_id = b.id AND other.knowledge_base_id <> mine.knowledge_base_id
JOIN knowledge_bases k ON k.id = other.knowledge_base_id JOIN indexes i ON i.id = k.active_index_id
WHERE mine.knowledge_base_id = :kb AND i.model <> :model ORDER BY b.name LIMIT 20
"""
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What it would take. None = it cannot be known beforehand; `notes` say why."""

    model: str
    dimensions: int
    passage_tokens: int
    overlap_tokens: int
    passages_now: int
    passages: int
    tokens: int
    cost_microusd: int | None
    seconds: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Size:
    """How much there is to embed."""

    passages_now: int
    passages: int
    tokens: int
    sampled: int | None = None  # documents cut anew to know it; None while the cutting stays


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A document that is cut anew, around what people have hidden or corrected in it."""

    reading: ParsedDocument
    edits: Sequence[Edit]
    passages_now: int


async def estimate_index(context: Context, actor: Actor, knowledge_base_id: UUID, new: NewIndex) -> Estimate:
    """Look what another index would take. A provider's model is asked once, with made-up text, for width and pace.

    Raises NotFound, InvalidInput, Conflict (nothing would change), ProviderError (the model does not answer).
    """
    permit(actor, "knowledge.edit")
    async with context.transaction() as session:
        await require_visible(session, actor, knowledge_base_id)
        wanted, active = await wanted_index(session, knowledge_base_id, new)
        there = await _there(session, active)
        sample = await _some_documents(session, active) if _cuts_anew(wanted, active) else []
        values = {"kb": knowledge_base_id, "model": wanted.model}
        bots = list((await session.execute(_ALSO_USED_WITH, values)).scalars())
    size = await asyncio.to_thread(_cut_sample, there, sample, active, wanted) if _cuts_anew(wanted, active) else there
    width, per_s, cost = await _of_model(context, actor.workspace_id, wanted.model, size.tokens)
    seconds = _seconds(size, per_s, cuts_anew=_cuts_anew(wanted, active))
    return Estimate(
        model=wanted.model,
        dimensions=width,
        passage_tokens=wanted.passage_tokens,
        overlap_tokens=wanted.overlap_tokens,
        passages_now=size.passages_now,
        passages=size.passages,
        tokens=size.tokens,
        cost_microusd=cost,
        seconds=round(seconds, 1),
        notes=tuple(_notes(size, cost, bots, is_bundled=is_local(wanted.model))),
    )


def _cuts_anew(wanted: Wanted, active: RowMapping) -> bool:
    return (wanted.passage_tokens, wanted.overlap_tokens) != (active["passage_tokens"], active["overlap_tokens"])


async def _there(session: AsyncSession, active: RowMapping) -> _Size:
    """The passages that are searched now, and their tokens scaled up from a sample."""
    keys = {"kb": active["knowledge_base_id"], "cutting": active["cutting_id"]}
    there = (await session.execute(_SIZE, keys)).one()
    sample = (await session.execute(_SAMPLE, {**keys, "most": SAMPLE_PASSAGES})).all()
    characters = sum(len(row.text) + len(row.context) for row in sample)
    counted = sum(estimate_tokens(f"{row.context}\n{row.text}") for row in sample)
    return _Size(there.passages, there.passages, _scaled(counted, there.characters, characters))


async def _some_documents(session: AsyncSession, active: RowMapping) -> list[_Sampled]:
    """Some documents chosen at random, of not too much text together."""
    found: list[dict[str, Any]] = []
    room, kb = SAMPLE_CHARACTERS, active["knowledge_base_id"]
    limits = {"most": SAMPLE_DOCUMENTS, "longest": SAMPLE_CHARACTERS // 4}
    for row in (await session.execute(_DOCUMENTS, {"kb": kb, "cutting": active["cutting_id"], **limits})).mappings():
        room -= len(row["text"])
        if room < 0:
            break
        found.append(dict(row))
    edits = await edits_of(await session.connection(), kb, [row["document_id"] for row in found])
    return [_Sampled(reading_of(row), edits.get(row["document_id"], ()), row["passages_now"]) for row in found]


def _scaled(part: int, whole: int, of: int) -> int:
    return round(part * whole / of) if of else 0


def _cut_sample(there: _Size, sample: list[_Sampled], active: RowMapping, wanted: Wanted) -> _Size:
    """Passages and tokens of another cutting, scaled up from documents that are cut in it. Pure and blocking."""
    before = sum(each.passages_now for each in sample)
    if not before:  # all of them are very long: as many passages as the sizes say
        ratio = active["passage_tokens"] / wanted.passage_tokens
        return _Size(there.passages_now, round(there.passages_now * ratio), there.tokens, 0)
    cutting = Cutting(-1, wanted.passage_tokens, wanted.overlap_tokens)
    passages = tokens = 0
    for each in sample:
        body = each.reading.text
        for one in edited(body, cut_by(each.reading, cutting), each.edits).cuts:
            passages += 1
            tokens += estimate_tokens(f"{one.context}\n{body[one.char_from : one.char_to]}")
    now = there.passages_now
    return _Size(now, _scaled(passages, now, before), _scaled(tokens, now, before), sampled=len(sample))


async def _of_model(context: Context, workspace_id: UUID, model: str, tokens: int) -> tuple[int, float, int | None]:
    """Numbers per vector, passages per second, and the price."""
    if is_local(model):
        return (await embed([_PROBE], model=model, purpose="document")).shape[1], BUNDLED_PER_S, 0
    keys = await workspace_keyring(context, workspace_id)
    started = time.perf_counter()
    rows = await embed([_PROBE] * BATCH_TEXTS, model=model, credentials=keys, purpose="document")
    took_s = time.perf_counter() - started
    cost = embedding_cost_microusd(await library(), route_to(model, keys), tokens)
    return rows.shape[1], BATCH_TEXTS / max(took_s, 0.001), cost


def _seconds(size: _Size, per_s: float, *, cuts_anew: bool) -> float:
    embedding = size.passages / per_s
    storing = size.passages / (CUT_PER_S if cuts_anew else STORED_PER_S)
    indexing = size.passages / HNSW_PER_S if size.passages >= HNSW_FROM else 0.0
    return embedding + storing + indexing


def _notes(size: _Size, cost: int | None, bots: list[str], *, is_bundled: bool) -> list[str]:
    notes = ["Tokens are estimated at four characters each; the model's own count may differ by a third."]
    if size.sampled is not None:
        many = "one document" if size.sampled == 1 else f"{size.sampled} documents"
        notes.append(f"The number of passages is scaled up from {many} cut in the new way.")
    if not is_bundled:
        notes.append("The time follows from one trial call; limits of the provider are not known beforehand.")
        notes.append(
            "Text that this model has embedded before is not paid for again; how much that is, is not counted."
        )
    if cost is None:
        notes.append("The price of this model is not known.")
    if bots:
        named = ", ".join(f"“{name}”" for name in bots)
        notes.append(
            f"{named} would answer from knowledge bases with different embedding models, which cannot be searched "
            "together yet: change the others too, or take this one out of the bot."
        )
    return notes
