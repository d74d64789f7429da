"""Search over REST."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field

from rag_app.api.dependencies import ActorDep, ContextDep
from rag_app.api.idempotency import IdempotentRoute
from rag_app.api.retrieval_shapes import RerankIn
from rag_app.api.shapes import PLACE, PlainText, Shape, View
from rag_app.retrieval.passages import Mode
from rag_app.services.retrieval_settings import RerankSettings
from rag_app.services.search import LONGEST_QUERY, MOST_RESULTS, Query, search_knowledge_base
from rag_app.services.wire import passage_json

router = APIRouter(tags=["search"], route_class=IdempotentRoute)
STEPS = ("embed", "dense", "lexical", "fuse", "rerank", "total")


class SearchIn(Shape):
    """What is looked for."""

    query: Annotated[PlainText, Field(min_length=1, max_length=LONGEST_QUERY)]
    limit: Annotated[int, Field(ge=1, le=MOST_RESULTS)] = 10
    mode: Mode = "hybrid"
    rerank: Annotated[
        bool | RerankIn, Field(description="true = with the reranker of the knowledge base's own bot, if it has one")
    ] = False
    filter: Annotated[dict[str, Any], Field(description="equality per field; a list means any of it")] = Field(
        default_factory=dict
    )


class RanksView(View):
    """The place of a passage in each leg; null = not found by it, or it did not run."""

    dense: int | None
    lexical: int | None
    fused: int | None
    rerank: int | None


class PassageView(View):
    """One passage found."""

    id: UUID
    knowledge_base_id: UUID
    document_id: UUID
    version_id: UUID
    external_id: str | None
    title: str
    url: str | None
    text: str
    heading: str
    page_from: int | None
    page_to: int | None
    char_from: int
    char_to: int
    score: Annotated[float, Field(description="calibrated relevance, 0 to 1")]
    ranks: RanksView
    place: dict[str, Any] = Field(default={}, description=PLACE)


class SearchOut(View):
    """Passages, best first."""

    passages: list[PassageView]
    warnings: list[str]
    timings_ms: dict[str, float | None]


@router.post("/knowledge-bases/{knowledge_base_id}/search")
async def search(context: ContextDep, actor: ActorDep, knowledge_base_id: UUID, body: SearchIn) -> SearchOut:
    """Find passages."""
    query = Query(body.query, body.limit, body.mode, body.filter)
    rerank = body.rerank if isinstance(body.rerank, bool) else RerankSettings(**body.rerank.model_dump())
    found = await search_knowledge_base(context, actor, knowledge_base_id, query, rerank=rerank)
    return SearchOut(
        passages=[PassageView(**passage_json(each)) for each in found.passages],
        warnings=list(found.warnings),
        timings_ms={step: found.timings_ms.get(step) for step in STEPS},
    )
