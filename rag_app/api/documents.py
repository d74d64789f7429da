"""Documents over REST: taken in while they stream, listed, read, retried, deleted."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request
from pydantic import Field, ValidationError

from rag_app.api.dependencies import ActorDep, ContextDep, PageDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.multipart import MultipartReader, Part
from rag_app.api.shapes import PLACE, Listing, PlainText, Shape, View, listing
from rag_app.errors import InvalidInput, TooLarge, UnsupportedType
from rag_app.services import documents, intake
from rag_app.services.acceptance import Accepted
from rag_app.services.context import Context
from rag_app.services.document_passwords import LONGEST_PASSWORD
from rag_app.services.documents import DocumentFilter
from rag_app.services.intake import IncomingFile, IncomingText
from rag_app.services.labels import LONGEST_EXTERNAL_ID, LONGEST_TITLE
from rag_app.services.permissions import Actor

router = APIRouter(tags=["documents"], route_class=IdempotentRoute)
LARGEST_JSON = 50_000_000
FILE_FIELDS = ("files", "files[]", "file")
OF_ONE_FILE = ("external_id", "path", "title")


class TextIn(Shape):
    """One text."""

    text: PlainText
    external_id: Annotated[PlainText | None, Field(min_length=1, max_length=LONGEST_EXTERNAL_ID)] = None
    title: Annotated[PlainText | None, Field(max_length=LONGEST_TITLE)] = None
    metadata: dict[str, Any] = Field(default_factory=dict)


class MetadataIn(Shape):
    """The metadata of files in a form."""

    metadata: dict[str, Any]


class DocumentsIn(Shape):
    """Texts or addresses; files come as multipart/form-data."""

    texts: Annotated[list[TextIn] | None, Field(max_length=intake.MOST_TEXTS)] = None
    urls: Annotated[list[PlainText] | None, Field(max_length=intake.MOST_ADDRESSES)] = None


class RetryIn(Shape):
    """How a failed document is to be tried again."""

    password: Annotated[PlainText, Field(min_length=1, max_length=LONGEST_PASSWORD)] | None = Field(
        None, description="opens the file; kept sealed until it has been read", repr=False
    )


class ProblemView(View):
    """Why something was refused or failed."""

    code: str
    message: str


class AcceptedView(View):
    """What became of one item."""

    id: UUID | None
    external_id: str | None
    title: str
    status: str | None
    task_id: UUID | None
    duplicate: bool
    error: ProblemView | None


class AcceptedList(View):
    """What became of each item, in the order they were sent."""

    items: list[AcceptedView]


class UpdateView(View):
    """A newer version on its way."""

    status: str
    phase: str | None
    progress: float
    error: ProblemView | None


class DocumentView(View):
    """A document; `status` is that of the searchable content."""

    id: UUID
    knowledge_base_id: UUID
    external_id: str | None
    kind: str
    title: str
    url: str | None
    status: str
    phase: str | None
    progress: float
    error: ProblemView | None
    update: UpdateView | None
    passages: int
    pages: int | None
    bytes: int
    language: str
    filename: str
    media_type: str
    metadata: dict[str, Any]
    version_id: UUID
    created_at: datetime
    updated_at: datetime
    warnings: list[str]
    parent_id: UUID | None


class StoredPassageView(View):
    """One piece of how a document was cut."""

    id: UUID
    ordinal: int
    char_from: int
    char_to: int
    page_from: int | None
    page_to: int | None
    heading: str
    context: str
    text: str
    place: dict[str, Any] = Field(default={}, description=PLACE)


class StoredPassages(View):
    """How a document was cut."""

    items: list[StoredPassageView]


class PageView(View):
    """Where a page lies in the text."""

    page: int
    char_from: int
    char_to: int


class PlaceView(View):
    """Where a stretch of the text stands in the original."""

    char_from: int
    char_to: int
    place: dict[str, Any] = Field(description=PLACE)


class TextView(View):
    """How a document was read."""

    version_id: UUID
    text: str
    pages: list[PageView]
    places: list[PlaceView]


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": DocumentsIn.model_json_schema(ref_template="#/components/schemas/{model}")},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "external_id": {"type": "string", "description": "of the next file"},
                        "path": {"type": "string", "description": "of the next file, in place of an external_id"},
                        "title": {"type": "string", "description": "of the next file"},
                        "same_name": {"type": "string", "enum": ["keep", "ask"], "description": "for the files after"},
                        "metadata": {"type": "string", "description": "a JSON object, for the files after it"},
                    },
                }
            },
        },
    }
}


@router.post("/knowledge-bases/{knowledge_base_id}/documents", status_code=202, openapi_extra=_BODY)
async def add(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, request: Request) -> AcceptedList:
    """Add files (multipart), or texts or addresses (JSON). Answers when all is committed, before any reading."""
    kind = request.headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind == "multipart/form-data":
        results = await _add_files(context, actor, knowledge_base_id, request)
    elif kind == "application/json":
        results = await _add_json(context, actor, knowledge_base_id, await _json_body(request))
    else:
        raise UnsupportedType("Content-Type: expected multipart/form-data or application/json")
    if all(each.error for each in results):
        problems = "; ".join(f"{each.title}: {each.error.message}" for each in results[:5] if each.error)
        raise InvalidInput(
            f"Nothing was accepted. {problems}",
            items=_shown(results),
        )
    return AcceptedList(items=[AcceptedView.model_validate(each) for each in results])


async def _json_body(request: Request) -> DocumentsIn:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_JSON:
            raise TooLarge(f"A JSON body may hold at most {LARGEST_JSON // 1_000_000} MB; send files as multipart.")
    try:
        return await asyncio.to_thread(DocumentsIn.model_validate_json, bytes(body))
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(each) for each in first["loc"]) or "body"
        raise InvalidInput(f"{place}: {first['msg']}", field=place) from problem


async def _add_json(context: Context, actor: Actor, knowledge_base_id: UUID, body: DocumentsIn) -> list[Accepted]:
    if (body.texts is None) == (body.urls is None):
        raise InvalidInput("Send either `texts` or `urls`.")
    if body.texts is not None:
        texts = [IncomingText(each.text, each.external_id, each.title, each.metadata) for each in body.texts]
        return await intake.add_texts(context, actor, knowledge_base_id, texts)
    return await intake.add_addresses(context, actor, knowledge_base_id, body.urls or [])


async def _add_files(context: Context, actor: Actor, knowledge_base_id: UUID, request: Request) -> list[Accepted]:
    reader = MultipartReader(request.stream(), request.headers.get("content-type", ""))
    results: list[Accepted] = []
    labels: dict[str, Any] = {}
    try:
        async for part in reader.parts():
            if part.content is None:
                labels |= form_label(part)
                continue
            if part.name not in FILE_FIELDS:
                raise InvalidInput(f"Unknown form field “{part.name[:50]}”: send files as `files`.", field="files")
            results.append(await intake.add_file(context, actor, knowledge_base_id, incoming_file(part, labels)))
            for name in OF_ONE_FILE:
                labels.pop(name, None)
    except (InvalidInput, TooLarge) as problem:
        if results:  # what was taken in before the fault stays, so the caller must hear of it
            problem.details["items"] = _shown(results)
        raise
    if not results:
        raise InvalidInput("files: at least one file is expected", field="files")
    return results


def _shown(results: list[Accepted]) -> list[Any]:
    return [AcceptedView.model_validate(each).model_dump(mode="json") for each in results]


def form_label(part: Part) -> dict[str, Any]:
    """What a field of the form says of the files after it. Raises InvalidInput."""
    if part.name in OF_ONE_FILE:
        return {part.name: part.value}
    if part.name == "same_name" and part.value in ("keep", "ask"):
        return {"asks_same_name": part.value == "ask"}
    if part.name == "metadata":
        try:
            return MetadataIn(metadata=json.loads(part.value)).model_dump()
        except (ValueError, RecursionError) as problem:
            raise InvalidInput("metadata: a JSON object that can be stored is expected", field="metadata") from problem
    raise InvalidInput(f"Unknown form field “{part.name[:50]}”.", field=part.name[:50])


def incoming_file(part: Part, labels: dict[str, Any]) -> IncomingFile:
    """A file of the form with what was said of it."""

    async def chunks() -> AsyncIterator[bytes]:
        if part.content is not None:
            async for chunk in part.content:
                yield chunk

    return IncomingFile(part.filename or "document", chunks(), part.media_type, **labels)


@router.get("/knowledge-bases/{knowledge_base_id}/documents")
async def list_of(
    context: ContextDep,
    actor: ActorDep,
    page: PageDep,
    knowledge_base_id: UUID,
    status: Annotated[Literal["queued", "working", "ready", "failed"] | None, Query()] = None,
    q: Annotated[str | None, Query(max_length=200, description="part of the title")] = None,
    parent_id: Annotated[UUID | None, Query(description="only what was unpacked from this archive")] = None,
) -> Listing[DocumentView]:
    """The documents of a knowledge base, newest first."""
    wanted = DocumentFilter(status, q, parent_id)
    found = await documents.list_documents(context, actor, knowledge_base_id, wanted=wanted, page=page)
    return listing(found, DocumentView.model_validate)


@router.get("/documents/{document_id}")
async def read(context: ContextDep, actor: ActorDep, document_id: UUID) -> DocumentView:
    """One document."""
    return DocumentView.model_validate(await documents.get_document(context, actor, document_id))


@router.delete("/documents/{document_id}", status_code=204)
async def delete(context: ContextDep, actor: ActorDep, document_id: UUID) -> None:
    """Remove a document; it is gone from search when this answers."""
    await documents.delete_document(context, actor, document_id)


@router.post("/documents/{document_id}/retry", status_code=202)
async def retry(
    context: ContextDep, actor: ActorDep, document_id: UUID, body: Annotated[RetryIn | None, Body()] = None
) -> DocumentView:
    """Read a failed document again; one that failed with `password_needed` or `password_wrong` takes a password."""
    password = body.password if body else None
    return DocumentView.model_validate(await documents.retry_document(context, actor, document_id, password=password))


@router.get("/documents/{document_id}/passages")
async def passages(context: ContextDep, actor: ActorDep, document_id: UUID) -> StoredPassages:
    """How the searchable version was cut."""
    found = await documents.document_passages(context, actor, document_id)
    return StoredPassages(items=[StoredPassageView(**asdict(each)) for each in found])


@router.get("/documents/{document_id}/text")
async def text(context: ContextDep, actor: ActorDep, document_id: UUID, version: UUID | None = None) -> TextView:
    """How a version was read; without `version` the searchable one."""
    return TextView.model_validate(await documents.document_text(context, actor, document_id, version))
