"""What the pages show, as plain values ready for the browser."""

from dataclasses import dataclass, field


@dataclass
class Notice:
    """A sentence that appears at the edge of the page."""

    key: str
    text: str
    tone: str = ""


@dataclass
class PlaceRow:
    """One result of the palette."""

    title: str
    kind: str
    href: str


@dataclass
class Choice:
    """One option of a list of choices."""

    id: str
    label: str
    chosen: bool = False


@dataclass
class KnowledgeRow:
    """A knowledge base in the list."""

    id: str
    name: str
    description: str
    documents: str
    passages: str
    restricted: bool
    working: int
    failed: int
    created_at: str
    conflicts: str = ""  # that wait for a person, in words


@dataclass
class DocumentRow:
    """A document in the list of its knowledge base."""

    id: str
    title: str
    filename: str
    status: str
    tone: str
    phase: str
    percent: int
    busy: bool
    error: str
    size: str
    pages: str
    passages: str
    created_at: str
    can_retry: bool
    has_original: bool
    url: str
    asks_password: bool = False
    is_archive: bool = False
    note: str = ""  # what else there is to say of a document that is ready


@dataclass
class PassageRow:
    """A passage found by “Test retrieval”."""

    id: str
    place: int
    document_id: str
    title: str
    heading: str
    pages: str
    text: str
    score: str
    dense: str
    lexical: str
    fused: str


@dataclass
class Timing:
    """How long one step took."""

    name: str
    took: str


@dataclass
class ReadBlock:
    """A piece of the text of a document, as it was read."""

    kind: str  # heading | paragraph | list | table | code | page
    text: str
    level: int = 0
    head: list[str] = field(default_factory=list)
    cells: list[list[str]] = field(default_factory=list)


@dataclass
class CutRow:
    """A passage of a document, as it was cut."""

    id: str
    ordinal: int
    text: str
    heading: str
    pages: str
    extent: str


@dataclass
class CitationRow:
    """A chip of an answer and what it opens."""

    n: int
    title: str
    page: str
    first_page: int
    quote: str
    document_id: str
    version_id: str
    char_from: int
    char_to: int
    apart: str = ""  # what tells it from another source of the same title


@dataclass
class MessageRow:
    """One turn of a conversation."""

    id: str
    role: str
    text: str
    status: str = "done"
    citations: list[CitationRow] = field(default_factory=list)
    model: str = ""
    abstained: bool = False
    error: str = ""
    unreachable: bool = False
    meta: str = ""
    rating: int = 0


@dataclass
class TalkRow:
    """A conversation in the sidebar."""

    id: str
    title: str
    updated_at: str
    bot: str = ""
    archived: bool = False


@dataclass
class ProviderRow:
    """A model provider that is set up."""

    id: str
    provider: str
    label: str
    base_url: str
    key: str
    key_hint: str
    model: str


@dataclass
class OfferRow:
    """A provider that could be set up."""

    provider: str
    label: str
    help: str


@dataclass
class PersonRow:
    """A person of the workspace."""

    id: str
    name: str
    email: str
    role: str
    is_self: bool
    disabled: bool = False
    last_seen_at: str = ""


@dataclass
class InvitationRow:
    """An invitation that nobody has used yet."""

    id: str
    email: str
    role: str
    expires_at: str


@dataclass
class SessionRow:
    """A browser in which the person is signed in."""

    id: str
    browser: str
    last_seen_at: str
    current: bool


@dataclass
class KeyRow:
    """An API key, without its secret."""

    id: str
    name: str
    prefix: str
    scopes: str
    created_at: str
    last_used_at: str


@dataclass
class BotRow:
    """A bot in the list."""

    id: str
    name: str
    slug: str
    model: str
    knowledge: str
    instructions: str = ""
