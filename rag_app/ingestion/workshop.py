"""What ingestion works with."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from rag_app.database.files import FileStore
from rag_app.egress import Egress
from rag_app.ingestion.embed import EmbedTexts
from rag_app.ingestion.sandbox import ParserPool
from rag_app.ingestion.versions import Claimed


@dataclass(frozen=True, slots=True)
class Workshop:
    """The tools of one worker."""

    engine: AsyncEngine
    files: FileStore
    pool: ParserPool
    egress: Egress
    embed: EmbedTexts
    worker: Callable[[], Awaitable[int]]  # the number of this worker's claim, once it is held
    max_bytes: int
    unseal: Callable[[bytes, UUID], str]  # the password of a version
    expand: Callable[[Claimed, str | None], Awaitable[None]]  # makes documents of an archive's members
    parse_timeout_s: float = 60.0
