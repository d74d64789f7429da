"""What the operator may set, read once from the environment or `.env`; a wrong or unknown name stops the start."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rag_app.errors import SettingsError

PREFIX = "RAG_"
ENV_FILE = ".env"
# Read by other parts of the repository, not by the server itself.
FOREIGN_NAMES = frozenset({"RAG_BENCH_DATA"})


class Settings(BaseSettings):
    """All settings. Each field is the environment variable of the same name with the prefix RAG_."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    database_url: str = Field("", repr=False, description="postgresql://… of an existing database; empty = embedded")
    database_direct_url: str = Field("", repr=False, description="direct connection for LISTEN, locks and migrations")
    data_dir: Path = Field(Path("data"), description="folder for the embedded database, originals and the secret key")
    storage_url: str = Field("", description="file:///… for originals; empty = under the data folder")
    secret_key: str = Field(
        "", repr=False, description="at least 32 bytes; in embedded mode made once in the data folder"
    )
    secret_key_old: str = Field("", repr=False, description="the key before, while secrets are re-encrypted")
    public_url: str = Field(
        "", description="address under which people reach the console, for example https://rag.example.com"
    )
    chat_url: str = Field("", description="second host for public pages")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=1, le=65535, description="port to listen on, 1 to 65535")
    redis_url: str = Field("", repr=False, description="redis://… only for several web processes")
    trusted_proxy_hops: int = Field(0, ge=0, le=10, description="how many reverse proxies stand in front, 0 to 10")
    drain_s: float = Field(8, ge=0, le=600, description="seconds that running answers get at a stop, 0 to 600")
    allowed_private_hosts: str = Field(
        "", description="comma-separated hosts or host:port that outbound calls may reach although private"
    )
    source_folders: str = Field("", description="comma-separated folders of this server that sources may read")
    smtp_url: str = Field("", repr=False, description="smtp://… for mail")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="DEBUG, INFO, WARNING or ERROR")
    log_format: Literal["text", "json"] = Field("text", description="text or json")
    default_chat_model: str = Field("", description="LiteLLM name such as openai/gpt-4o-mini; empty = local/extractive")
    default_embedding_model: str = Field("local/wordllama-256", description="embedding model of new knowledge bases")
    max_upload_mb: int = Field(100, ge=1, le=10_000, description="largest file that may be uploaded, in MB")
    kept_versions: int = Field(
        20, ge=1, le=10_000, description="how many versions of a document are kept, the newest ones, 1 to 10000"
    )

    @field_validator("public_url", "chat_url")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value.rstrip("/")

    @field_validator("storage_url")
    @classmethod
    def _is_folder(cls, value: str) -> str:
        if value and not value.startswith("file:///"):
            raise ValueError("must begin with file:/// (object stores are not supported yet)")
        return value

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _is_postgres(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
            raise ValueError("must begin with postgresql://")
        return value

    @field_validator("secret_key", "secret_key_old")
    @classmethod
    def _is_long_enough(cls, value: str) -> str:
        if value and len(value.encode()) < 32:
            raise ValueError("must have at least 32 bytes")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @property
    def without_effect(self) -> tuple[str, ...]:
        """Names of settings that are set but that nothing follows yet."""
        return tuple(PREFIX + name.upper() for name in ("chat_url", "redis_url", "smtp_url") if getattr(self, name))

    @property
    def embedded(self) -> bool:
        """True when the product runs its own Postgres."""
        return not self.database_url

    @property
    def private_hosts(self) -> frozenset[str]:
        """Private hosts (`host` or `host:port`) that outbound calls may reach."""
        return frozenset(name.strip().lower() for name in self.allowed_private_hosts.split(",") if name.strip())

    @property
    def source_roots(self) -> tuple[Path, ...]:
        """Folders of this server that sources may read, resolved."""
        return tuple(Path(name.strip()).resolve() for name in self.source_folders.split(",") if name.strip())

    @property
    def chat_model(self) -> str:
        """The chat model where nothing else is chosen."""
        return self.default_chat_model or "local/extractive"


def load_settings(**overrides: Any) -> Settings:
    """Read and check the settings. Raises SettingsError that names each wrong one, its problem and the right form."""
    _refuse_unknown()
    try:
        return Settings(**overrides)
    except ValidationError as problem:
        raise SettingsError("; ".join(_explain(error) for error in problem.errors())) from problem


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process."""
    return load_settings()


def _explain(error: Any) -> str:
    name = str(error["loc"][0]) if error["loc"] else "?"
    expected = Settings.model_fields[name].description if name in Settings.model_fields else "?"
    return f"{PREFIX}{name.upper()}: {error['msg'].removeprefix('Value error, ')} (expected: {expected})"


def _refuse_unknown() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | FOREIGN_NAMES
    names = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)} | _names_in_env_file()
    unknown = sorted(names - known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)} (known: {', '.join(sorted(known - FOREIGN_NAMES))})")


def _names_in_env_file() -> set[str]:
    path = Path(ENV_FILE)
    if not path.is_file():
        return set()
    lines = path.read_text(encoding="utf-8").splitlines()
    names = (line.split("=", 1)[0].removeprefix("export ").strip().upper() for line in lines if "=" in line)
    return {name for name in names if name.startswith(PREFIX)}
