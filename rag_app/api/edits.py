"""Edits by people over REST: passages hidden or corrected, notes, and the conflicts that wait for a decision."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.documents import AcceptedView
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import LARGEST_INTEGER, Listing, PlainText, Shape, View, listing, whole_listing
from rag_app.services import conflict_places, conflicts, edit_cards, edits, notes
from rag_app.services.conflict_places import NowThere
from rag_app.services.conflicts import Resolution
from rag_app.services.edit_cards import EditCard
from rag_app.services.edits import LONGEST_CORRECTION, NewEdit
from rag_app.services.labels import LONGEST_TITLE
from rag_app.services.notes import NewNote

router = APIRouter(tags=["edits"], route_class=IdempotentRoute)
Offset = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
Words = Annotated[PlainText, Field(max_length=LONGEST_CORRECTION)]
Label = Annotated[PlainText, Field(max_length=LONGEST_TITLE)]


class EditIn(Shape):
    """What is to be done to a stretch of a version, the searchable one unless another is named."""

    kind: Literal["hide", "correct"]
    char_from: Offset
    char_to: Offset
    text: Words = ""
    version_id: UUID | None = None


class ResolutionIn(Shape):
    """What becomes of a conflict; `reattach` needs the new stretch."""

    how: Literal["reattach", "keep", "drop"]
    char_from: Offset | None = None
    char_to: Offset | None = None
    version_id: UUID | None = None


class NoteIn(Shape):
    """What is to be said; with a question it is found by that question."""

    text: Words
    question: Label = ""
    title: Label = ""


class EditView(View):
    """An edit. A conflict has no `version_id`: its words were not found again for certain."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    document_title: str
    kind: str
    state: Literal["applied", "conflict"]
    reason: str | None
    message: str | None
    quote: str
    prefix: str
    suffix: str
    text: str
    note_id: UUID | None
    version_id: UUID | None
    char_from: int | None
    char_to: int | None
    created_by: str
    created_at: datetime


class NowView(View):
    """What the version in use says where an edit in conflict belonged; `reattach` takes the same stretch."""

    version_id: UUID
    char_from: int
    char_to: int
    text: str


class ConflictView(EditView):
    """An edit that waits for a person; `now` is null when its place is not known any more."""

    now: NowView | None


class NoteView(View):
    """A note; `corrects` is the document that a correction belongs to."""

    id: UUID
    knowledge_base_id: UUID
    title: str
    question: str
    text: str
    status: str
    corrects: UUID | None
    corrects_title: str | None
    conflict: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime


class NoteDetail(NoteView):
    """A note with the edit it belongs to, which says where in the original it stands."""

    edit: EditView | None


class Resolved(View):
    """The edit as it applies now; null when it is gone."""

    edit: EditView | None


@router.get("/documents/{document_id}/edits")
async def list_of(context: ContextDep, actor: ActorDep, document_id: UUID) -> Listing[EditView]:
    """What was hidden or corrected in a document, in the order of its text."""
    return whole_listing(await edit_cards.document_edits(context, actor, document_id), EditView.model_validate)


@router.post("/documents/{document_id}/edits", status_code=201)
async def add(context: ContextDep, actor: ActorDep, document_id: UUID, body: EditIn) -> EditView:
    """Hide a stretch or correct it; what it said is gone from search when this answers."""
    new = NewEdit(body.kind, body.char_from, body.char_to, body.text, body.version_id)
    return EditView.model_validate(await edits.add_edit(context, actor, document_id, new))


@router.delete("/edits/{edit_id}", status_code=204)
async def undo(context: ContextDep, actor: ActorDep, edit_id: UUID) -> None:
    """Show a hidden stretch again, or take a correction back with its note."""
    await edits.undo_edit(context, actor, edit_id)


@router.post("/edits/{edit_id}/resolve")
async def resolve(context: ContextDep, actor: ActorDep, edit_id: UUID, body: ResolutionIn) -> Resolved:
    """End a conflict: attach the edit to another stretch, keep its note by itself, or drop it."""
    resolution = Resolution(body.how, body.char_from, body.char_to, body.version_id)
    found = await conflicts.resolve(context, actor, edit_id, resolution)
    return Resolved(edit=EditView.model_validate(found) if found else None)


@router.get("/knowledge-bases/{knowledge_base_id}/conflicts")
async def list_conflicts(
    context: ContextDep, actor: ActorDep, page: PageDep, knowledge_base_id: UUID
) -> Listing[ConflictView]:
    """Edits whose words were not found again for certain, newest first, and what the text says there now."""
    found = await edit_cards.list_conflicts(context, actor, knowledge_base_id, page)
    places = await conflict_places.places_now(context, actor, found.items)
    return listing(found, lambda card: _shown_conflict(card, places.get(card.id)))


def _shown_conflict(card: EditCard, now: NowThere | None) -> ConflictView:
    shown = EditView.model_validate(card).model_dump()
    return ConflictView(**shown, now=NowView.model_validate(now) if now else None)


@router.get("/knowledge-bases/{knowledge_base_id}/notes")
async def list_notes(context: ContextDep, actor: ActorDep, page: PageDep, knowledge_base_id: UUID) -> Listing[NoteView]:
    """The notes of a knowledge base, newest first."""
    return listing(await notes.list_notes(context, actor, knowledge_base_id, page), NoteView.model_validate)


@router.post("/knowledge-bases/{knowledge_base_id}/notes", status_code=202)
async def add_note(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: NoteIn) -> AcceptedView:
    """Add a note, or with a question a question-and-answer pair. It is a document of kind `note`."""
    new = NewNote(body.text, body.question, body.title)
    return AcceptedView.model_validate(await notes.add_note(context, actor, knowledge_base_id, new))


@router.get("/notes/{document_id}")
async def read_note(context: ContextDep, actor: ActorDep, document_id: UUID) -> NoteDetail:
    """One note, with the place it corrects."""
    note = await notes.get_note(context, actor, document_id)
    origin = await edit_cards.note_origin(context, actor, document_id)
    shown = NoteView.model_validate(note).model_dump()
    return NoteDetail(**shown, edit=EditView.model_validate(origin) if origin else None)


@router.put("/notes/{document_id}", status_code=202)
async def change_note(context: ContextDep, actor: ActorDep, document_id: UUID, body: NoteIn) -> NoteView:
    """Let a note say something else, as a new version of it."""
    new = NewNote(body.text, body.question, body.title)
    return NoteView.model_validate(await notes.change_note(context, actor, document_id, new))
