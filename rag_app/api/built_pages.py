"""What the built front end contains: HTML files, hashes of their inline scripts, the script that holds addresses."""

import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

# An inline script: no attribute but perhaps a type; what has a src is covered by 'self'.
_INLINE = re.compile(rb"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_ADDRESS = re.compile(r"(https?|wss?)://localhost(:\d+)?")
_FALLBACKS = ("__spa-fallback.html", "404.html")


@dataclass(frozen=True)
class BuiltPages:
    """The folder of the build, read once."""

    root: Path
    hashes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # path of an HTML file in the folder -> hashes
    folders: frozenset[str] = frozenset()  # addresses (without slash at the end) that have their own index.html

    def script_hashes(self, path: str) -> tuple[str, ...]:
        """CSP source expressions for the inline scripts of the page at this address."""
        key = f"{path.strip('/')}/index.html".lstrip("/")
        if key in self.hashes:
            return self.hashes[key]
        return tuple(sorted({each for name in _FALLBACKS for each in self.hashes.get(name, ())}))

    def env_script(self, path: str, *, secure: bool, host: str) -> str | None:
        """The script with the server's addresses, rewritten to the address the browser used; None = not that script."""
        if not re.fullmatch(r"/assets/reflex-env-[\w-]+\.js", path):
            return None
        file = self.root / path.lstrip("/")
        if not file.is_file():
            return None
        ending = "s" if secure else ""

        def own(found: re.Match[str]) -> str:
            return f"{'ws' if found[1].startswith('ws') else 'http'}{ending}://{host}"

        return _ADDRESS.sub(own, file.read_text(encoding="utf-8"))


def read_built_pages(root: Path) -> BuiltPages:
    """Read the HTML files of the build; an absent folder gives an empty result."""
    hashes: dict[str, tuple[str, ...]] = {}
    folders: set[str] = set()
    for file in sorted(root.rglob("*.html")) if root.is_dir() else []:
        name = file.relative_to(root).as_posix()
        hashes[name] = tuple(sorted({_hash(script) for script in _INLINE.findall(file.read_bytes())}))
        if name.endswith("/index.html"):
            folders.add("/" + name.removesuffix("/index.html"))
    return BuiltPages(root, hashes, frozenset(folders))


def _hash(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
