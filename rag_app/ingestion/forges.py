"""Addresses at the well-known hosts of Git repositories: what a copied link names, and where people open a file."""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from rag_app.ingestion.web_address import LONGEST_ADDRESS

_OWNER_AND_NAME = 2


@dataclass(frozen=True, slots=True)
class _Forge:
    """`hosts`: whole names, or beginnings that end with a dot. `shows`, `lists`: how it links a file and a folder."""

    hosts: tuple[str, ...]
    shows: str
    lists: str

    def is_at(self, host: str) -> bool:
        return any(host.startswith(each) if each.endswith(".") else host == each for each in self.hosts)


_FORGES = (
    _Forge(("github.com", "github."), "/blob/{branch}/{path}", "/tree/"),
    _Forge(("gitlab.com", "gitlab."), "/-/blob/{branch}/{path}", "/-/tree/"),
    _Forge(("codeberg.org", "gitea.com", "gitea.", "forgejo."), "/src/branch/{branch}/{path}", "/src/branch/"),
    _Forge(("bitbucket.org",), "/src/{branch}/{path}", "/src/"),
)


@dataclass(frozen=True, slots=True)
class RepositoryLink:
    """What an address names: the repository, and perhaps a branch and a folder of it ("" = not said)."""

    address: str
    branch: str = ""
    folder: str = ""


def read_link(address: str, branch: str = "") -> RepositoryLink:
    """What a canonical address names; one copied from a forge's page of a folder names branch and folder too.

    A branch whose name holds a slash is recognised when it is given in `branch`.
    """
    parts = urlsplit(address)
    forge = _forge_of(parts.netloc)
    root = f"{parts.scheme}://{parts.netloc}"
    path = parts.path.rstrip("/")
    if forge is None or forge.lists not in f"{path}/":
        return RepositoryLink(root + path, branch)
    repository, _, rest = f"{path}/".partition(forge.lists)
    rest = unquote(rest).strip("/")
    if len(repository.strip("/").split("/")) < _OWNER_AND_NAME:
        return RepositoryLink(root + path, branch)
    if branch and f"{rest}/".startswith(f"{branch}/"):
        return RepositoryLink(root + repository, branch, rest[len(branch) :].strip("/"))
    named, _, folder = rest.partition("/")
    return RepositoryLink(root + repository, branch or named, folder)


def link_of(repository: str, branch: str, path: str) -> str | None:
    """Where people open a file of a repository in the browser; None at hosts that are not known."""
    parts = urlsplit(repository)
    forge = _forge_of(parts.netloc)
    if forge is None or not branch:
        return None
    place = parts.path.rstrip("/").removesuffix(".git").rstrip("/")
    shown = forge.shows.format(branch=quote(branch), path=quote(path))
    made = f"{parts.scheme}://{parts.netloc}{place}{shown}"
    return made if len(made) <= LONGEST_ADDRESS else None


def _forge_of(host: str) -> _Forge | None:
    return next((each for each in _FORGES if each.is_at(host.partition(":")[0])), None)
