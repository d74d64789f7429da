"""Hashes, tokens, signatures and sealed secrets: pure functions and one key ring."""

import base64
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Any

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from rag_app.errors import SettingsError

_hasher = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)  # RFC 9106, second recommended option
# The hash of nothing anybody knows. Random bytes in the shape of one: making a real one would take each process 0.2 s.
_NO_SUCH_USER = (
    f"$argon2id$v=19$m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    f"${base64.b64encode(os.urandom(16)).decode().rstrip('=')}${base64.b64encode(os.urandom(32)).decode().rstrip('=')}"
)
TOKEN_BYTES = 32
JWT_LIFETIME_S = 3600


def hash_password(password: str) -> str:
    """Argon2id hash of a password. CPU-heavy (about 0.1 s): call it in a thread."""
    return _hasher.hash(password)


def verify_password(password: str, password_hash: str | None) -> bool:
    """True when the password fits. Takes as long for an unknown user (None), so that accounts cannot be counted."""
    try:
        matches = _hasher.verify(password_hash or _NO_SUCH_USER, password)
    except (VerificationError, InvalidHashError):
        return False
    return matches and password_hash is not None


def new_token(prefix: str = "") -> str:
    """A random secret of 256 bits, with a prefix that names its kind."""
    return prefix + secrets.token_urlsafe(TOKEN_BYTES)


def new_public_id() -> str:
    """A random name of 144 bits that may be shown to anybody and opens nothing by itself."""
    return secrets.token_urlsafe(18)


def hash_token(token: str) -> bytes:
    """SHA-256 of a random token. (A fast hash suffices: the token has 256 bits of entropy.)"""
    return hashlib.sha256(token.encode()).digest()


class KeyRing:
    """Keys derived from the secret key, one per purpose; the key before still opens what it sealed."""

    def __init__(self, secret_key: str, secret_key_old: str = "") -> None:
        self._roots = [key.encode() for key in (secret_key, secret_key_old) if key]

    def _derive(self, root: bytes, purpose: str) -> bytes:
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"rag_app/" + purpose.encode()).derive(root)

    def _key_id(self, root: bytes) -> bytes:
        return hashlib.sha256(b"rag_app/key-id" + root).digest()[:4]

    def seal(self, secret: str, *, bound_to: str) -> bytes:
        """Encrypt; `bound_to` names table and row, and the ciphertext opens only there."""
        root, nonce = self._roots[0], os.urandom(12)
        box = AESGCM(self._derive(root, "seal")).encrypt(nonce, secret.encode(), bound_to.encode())
        return self._key_id(root) + nonce + box

    def open(self, sealed: bytes, *, bound_to: str) -> str:
        """Decrypt. Raises SettingsError when no key of the ring fits."""
        key_id, nonce, box = sealed[:4], sealed[4:16], sealed[16:]
        for root in self._roots:
            if hmac.compare_digest(self._key_id(root), key_id):
                try:
                    return AESGCM(self._derive(root, "seal")).decrypt(nonce, box, bound_to.encode()).decode()
                except InvalidTag as problem:
                    raise SettingsError("a stored secret does not belong to this row; enter it again") from problem
        raise SettingsError("RAG_SECRET_KEY has changed: set RAG_SECRET_KEY_OLD to the one before")

    def sign_session(self, session_id: str) -> tuple[str, int]:
        """A JWT that carries a session id, and its lifetime in seconds. The session is checked on each request."""
        moment = int(time.time())
        claims = {"sid": session_id, "iat": moment, "exp": moment + JWT_LIFETIME_S, "aud": "rag_app"}
        return jwt.encode(claims, self._derive(self._roots[0], "jwt"), algorithm="HS256"), JWT_LIFETIME_S

    def read_session(self, token: str) -> str | None:
        """The session id of a valid JWT, else None."""
        for root in self._roots:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    self._derive(root, "jwt"),
                    algorithms=["HS256"],
                    audience="rag_app",
                    options={"require": ["exp", "sid", "aud"]},
                )
                return str(claims["sid"])
            except jwt.InvalidTokenError:
                continue
        return None

    def mac(self, text: str, *, purpose: str) -> str:
        """A short signature of a text for one purpose."""
        digest = hmac.new(self._derive(self._roots[0], purpose), text.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()


def secret_key_of(data_dir: Path, configured: str, *, may_create: bool) -> str:
    """The secret key: as configured, else the one kept in the data folder (made once, mode 0600).

    Raises SettingsError when there is none and none may be made.
    """
    if configured:
        return configured
    path = data_dir / "secret.key"
    if path.exists():
        return path.read_text(encoding="utf-8").strip()
    if not may_create:
        raise SettingsError("RAG_SECRET_KEY: missing (expected: at least 32 bytes, as `openssl rand -base64 32` makes)")
    data_dir.mkdir(parents=True, exist_ok=True)
    draft = data_dir / f".secret.key.{secrets.token_hex(8)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # atomic: two processes that start together agree on one key
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text(encoding="utf-8").strip()
