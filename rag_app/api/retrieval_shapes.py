"""How the settings of a bot's search look in bodies and answers."""

from typing import Annotated, Any

from pydantic import Field

from rag_app.api.shapes import PlainText, Shape, View
from rag_app.chat.request import MOST_HOPS
from rag_app.retrieval.passages import Mode
from rag_app.services.retrieval_settings import CONTEXT_LIMITS, LONGEST_RERANK_S, MOST_PASSAGES, MOST_RERANKED

Share = Annotated[float, Field(ge=0, le=1)]


class RerankIn(Shape):
    """Who puts the best candidates into a new order."""

    model: Annotated[
        PlainText,
        Field(
            min_length=1,
            max_length=200,
            description="`chat` (the bot's own model), `chat/…` (a chat model), or the LiteLLM name of a reranker",
        ),
    ]
    candidates: Annotated[int, Field(ge=2, le=MOST_RERANKED)] = 30
    timeout_s: Annotated[float, Field(ge=0.1, le=LONGEST_RERANK_S)] = 5.0


class RetrievalIn(Shape):
    """How a bot searches; what is not named stays as it is, null goes back to the default."""

    limit: Annotated[int | None, Field(ge=1, le=MOST_PASSAGES, description="passages")] = None
    mode: Mode | None = None
    filter: Annotated[dict[str, Any] | None, Field(description="equality per field; a list means any of it")] = None
    dense_weight: Annotated[Share | None, Field(description="null = that of the embedding model")] = None
    rerank: RerankIn | None = None
    split: Annotated[bool | None, Field(description="search the parts of a question one by one")] = None
    hops: Annotated[int | None, Field(ge=1, le=MOST_HOPS, description="how often it may search")] = None
    minimum_evidence: Annotated[
        Share | None, Field(description="it says no below this probability that the passages answer")
    ] = None
    context_tokens: Annotated[int | None, Field(ge=CONTEXT_LIMITS[0], le=CONTEXT_LIMITS[1])] = None


class RerankView(View):
    """Who reranks."""

    model: str
    candidates: int
    timeout_s: float


class RetrievalView(View):
    """How a bot searches."""

    limit: int
    mode: str
    filter: dict[str, Any]
    dense_weight: float | None
    rerank: RerankView | None
    split: bool
    hops: int
    minimum_evidence: float | None
    context_tokens: int


def changes_of(body: RetrievalIn) -> dict[str, Any]:
    """Only what was sent."""
    return body.model_dump(exclude_unset=True) | ({"rerank": body.rerank.model_dump()} if body.rerank else {})
