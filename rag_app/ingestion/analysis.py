"""A batch of texts made ready to be searched in a child process: read, cut, embedded, and written as rows.

A worker has one interpreter, which is busy on one core; its children have the others. Nothing is opened here but texts
that came as such, so that what the child answers is as good as what the worker itself would have made of them.
"""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rag_app.errors import ParserCrashed
from rag_app.ingestion.cutting import Cutting, cut_by, embedded_text
from rag_app.ingestion.edit_rows import Edited
from rag_app.ingestion.readings import ReadingRows
from rag_app.ingestion.store import Bundle, Prepared, bundle_of
from rag_app.ingestion.texts import contents_of, parse_text
from rag_app.ingestion.versions import Claimed
from rag_app.providers import local_embedder
from rag_app.retrieval.store import Delta
from rag_app.retrieval.store import Prepared as Searchable

if TYPE_CHECKING:
    from rag_app.ingestion.workshop import Workshop  # which a child need not load


async def analysed(workshop: "Workshop", claimed: Sequence[Claimed]) -> Bundle:
    """The rows of texts of one knowledge base that the bundled model embeds, made in a child.

    Raises DocumentFailed, NotFound, NotReady and UnicodeDecodeError: then they had better be read one by one.
    """
    contents = await contents_of(workshop.files, claimed)
    answer = await workshop.pool.analyse(_request(claimed, contents), timeout_s=workshop.parse_timeout_s)
    return _bundle(answer, claimed[0].knowledge_base_id)


def _request(claimed: Sequence[Claimed], contents: Sequence[bytes]) -> dict[str, Any]:
    first = claimed[0]
    cutting = first.cutting
    return {
        "do": "texts",
        "knowledge_base": str(first.knowledge_base_id),
        "workspace": str(first.workspace_id),
        "index": first.index_id,
        "cutting": [cutting.id, cutting.passage_tokens, cutting.overlap_tokens],
        "language": first.wanted_language,
        "texts": [
            [each.id.hex, each.document_id.hex, each.attempt, each.title, content.decode()]
            for each, content in zip(claimed, contents, strict=True)
        ],
    }


def answer_to(request: dict[str, Any]) -> dict[str, Any]:
    """In the child: the rows of these texts, as JSON values. Raises DocumentFailed."""
    read = []
    for each in request["texts"]:
        claimed = _claimed(request, *each[:4])
        parsed = parse_text(claimed, each[4])
        read.append((claimed, parsed, cut_by(parsed, claimed.cutting)))
    vectors = local_embedder.embed([embedded_text(parsed.text, cut) for _, parsed, cuts in read for cut in cuts])
    batch, place = [], 0
    for claimed, parsed, cuts in read:
        rows = vectors[place : place + len(cuts)]
        place += len(cuts)
        language = claimed.wanted_language or parsed.language
        batch.append(Prepared(claimed, parsed.text, language, Edited(cuts), rows, (parsed, cuts)))
    return _packed(bundle_of(batch))


def _bundle(answer: dict[str, Any], knowledge_base_id: UUID) -> Bundle:
    try:
        deltas = tuple(Delta(knowledge_base_id, *each) for each in answer["deltas"])
        lexical, embeddings, passages = (b64decode(answer[name]) for name in ("lexical", "embeddings", "passages"))
        readings = ReadingRows(answer["versions"], answer["documents"])
        return Bundle(passages, Searchable(lexical, embeddings, deltas), readings, int(answer["width"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise ParserCrashed() from problem


def _packed(bundle: Bundle) -> dict[str, Any]:
    search = bundle.search
    return {
        "passages": b64encode(bundle.passages).decode(),
        "lexical": b64encode(search.lexical).decode(),
        "embeddings": b64encode(search.embeddings).decode(),
        "deltas": [
            [each.language, each.passages, each.length, each.terms, each.counts, each.cutting_id]
            for each in search.deltas
        ],
        "versions": bundle.readings.versions,
        "documents": bundle.readings.documents,
        "width": bundle.width,
    }


def _claimed(request: dict[str, Any], version: str, document: str, attempt: int, title: str) -> Claimed:
    """What matters of a version whose text is at hand."""
    return Claimed(
        id=UUID(version),
        knowledge_base_id=UUID(request["knowledge_base"]),
        document_id=UUID(document),
        workspace_id=UUID(request["workspace"]),
        attempt=attempt,
        failures=0,
        kind="text",
        url=None,
        filename="",
        media_type="",
        byte_count=0,
        original_key=None,
        original_offset=0,
        title=title,
        language="",
        wanted_language=request["language"],
        index_id=request["index"],
        embedding_model=local_embedder.NAME,
        text=None,
        cuts=(),
        external_id=None,
        created_by=None,
        sealed_password=None,
        cutting=Cutting(*request["cutting"]),
    )
