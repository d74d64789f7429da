"""The history of a document over REST: its versions, a file as a new one, what changed, an older one brought back."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.documents import FILE_FIELDS, AcceptedView, DocumentView, ProblemView, form_label, incoming_file
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.multipart import MultipartReader
from rag_app.api.shapes import Listing, View, whole_listing
from rag_app.errors import InvalidInput, RagError, UnsupportedType
from rag_app.services import versions
from rag_app.services.acceptance import Accepted
from rag_app.services.new_versions import add_version
from rag_app.services.versions import VersionCard, VersionDiff

router = APIRouter(tags=["documents"], route_class=IdempotentRoute)
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "title": {"type": "string", "description": "before the file; otherwise as an upload"},
                        "metadata": {"type": "string", "description": "a JSON object, before the file"},
                    },
                }
            }
        },
    }
}


class VersionView(View):
    """A version; `restored_from` is the number of the one whose content it brought back.

    `created_by` is the name of a person, or of the source `source_id`; empty when nobody is known any more.
    """

    id: UUID
    number: int
    state: str
    is_active: bool
    filename: str
    bytes: int
    passages: int
    pages: int | None
    language: str
    error: ProblemView | None
    created_at: datetime
    ready_at: datetime | None
    created_by: str
    source_id: UUID | None
    has_text: bool
    restored_from: int | None
    is_restored: bool


class SegmentView(View):
    """A stretch of a hunk."""

    kind: Literal["same", "removed", "added"]
    text: str


class HunkView(View):
    """A change with what stands around it, and where it begins in both texts."""

    old_from: int
    new_from: int
    segments: list[SegmentView]


class DiffView(View):
    """What changed. `is_truncated`: more has changed than is shown; `is_coarse`: less may have changed than shown."""

    from_version: UUID
    to_version: UUID
    hunks: list[HunkView]
    added_words: int
    removed_words: int
    is_truncated: bool
    is_coarse: bool


def shown_version(card: VersionCard) -> VersionView:
    """A version as the answer shows it."""
    error = ProblemView(code=card.error_code, message=card.error_message or "") if card.error_code else None
    fields = {name: getattr(card, name) for name in VersionView.model_fields if name != "error"}
    return VersionView(**fields, error=error)


def shown_diff(found: VersionDiff) -> DiffView:
    """A diff as the answer shows it."""
    diff = found.diff
    return DiffView(
        from_version=found.from_version,
        to_version=found.to_version,
        hunks=[HunkView.model_validate(each) for each in diff.hunks],
        added_words=diff.added_words,
        removed_words=diff.removed_words,
        is_truncated=diff.is_truncated,
        is_coarse=diff.is_coarse,
    )


@router.get("/documents/{document_id}/versions")
async def history(context: ContextDep, actor: ActorDep, document_id: UUID) -> Listing[VersionView]:
    """The versions that are kept, newest first."""
    return whole_listing(await versions.document_versions(context, actor, document_id), shown_version)


@router.post("/documents/{document_id}/versions", status_code=202, openapi_extra=_FILE)
async def add(context: ContextDep, actor: ActorDep, document_id: UUID, request: Request) -> AcceptedView:
    """Take one file as a new version of the document. Answers when it is committed, before any reading."""
    content_type = request.headers.get("content-type", "")
    if content_type.split(";", 1)[0].strip().lower() != "multipart/form-data":
        raise UnsupportedType("Content-Type: expected multipart/form-data")
    reader = MultipartReader(request.stream(), content_type)
    labels: dict[str, Any] = {}
    taken: Accepted | None = None
    try:
        async for part in reader.parts():
            if part.content is None and taken is None:
                labels |= form_label(part)
            elif part.name not in FILE_FIELDS or taken is not None:
                raise InvalidInput("file: one file is expected, at the end of the form", field="file")
            else:
                taken = await add_version(context, actor, document_id, incoming_file(part, labels))
    except RagError as problem:
        if taken is not None:  # it stays, so the caller must hear of it
            problem.details["item"] = AcceptedView.model_validate(taken).model_dump(mode="json")
        raise
    if taken is None:
        raise InvalidInput("file: one file is expected", field="file")
    return AcceptedView.model_validate(taken)


@router.get("/documents/{document_id}/versions/{from_version}/diff/{to_version}")
async def diff(
    context: ContextDep, actor: ActorDep, document_id: UUID, from_version: UUID, to_version: UUID
) -> DiffView:
    """What changed in the text from one version to another, by lines and words."""
    found = await versions.version_diff(context, actor, document_id, from_version=from_version, to_version=to_version)
    return shown_diff(found)


@router.post("/documents/{document_id}/versions/{version_id}/restore", status_code=202)
async def restore(context: ContextDep, actor: ActorDep, document_id: UUID, version_id: UUID) -> DocumentView:
    """Bring back the content of an older version as a new version; what comes later wins over it."""
    return DocumentView.model_validate(await versions.restore_version(context, actor, document_id, version_id))
