"""The history of a document over REST: its versions, what changed between two, an older one brought back."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.documents import DocumentView, ProblemView
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.shapes import Listing, View, whole_listing
from rag_app.services import versions
from rag_app.services.versions import VersionCard, VersionDiff

router = APIRouter(tags=["documents"], route_class=IdempotentRoute)


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
