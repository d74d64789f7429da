"""Every error a person or a program can meet, each with a stable code.

The docstring of a class is its default message. The doors (api, cli, state, worker) translate an error once
into a status, an exit code, or a sentence on the page; nothing in between looks at the text.
"""

from typing import Any


class RagError(Exception):
    """Something went wrong that has no more exact name."""

    code = "internal_error"

    def __init__(self, message: str | None = None, **details: Any) -> None:
        self.message = message or (self.__class__.__doc__ or "").strip()
        self.details = details
        super().__init__(self.message)


# --- the caller -------------------------------------------------------------------------------------------------


class InvalidInput(RagError):
    """The input is not valid."""

    code = "validation_error"


class Unauthenticated(RagError):
    """Sign in first, or send a valid API key."""

    code = "unauthenticated"


class Forbidden(RagError):
    """Your role does not allow this."""

    code = "forbidden"


class NotFound(RagError):
    """There is nothing here, or it is not yours."""

    code = "not_found"


class MethodNotAllowed(RagError):
    """This address does not take that method."""

    code = "method_not_allowed"


class Conflict(RagError):
    """This does not go together with what is already there."""

    code = "conflict"


class SameName(RagError):
    """A document of this name is there already, with another content."""

    code = "same_name"


class Busy(RagError):
    """Something of the same kind is still under way; wait for it or stop it."""

    code = "busy"


class VersionGone(RagError):
    """That version of the document no longer exists."""

    code = "version_gone"


class StreamExpired(RagError):
    """The stream of this answer has expired; read the message itself."""

    code = "stream_expired"


class TooLarge(RagError):
    """This is larger than the server accepts."""

    code = "too_large"


class UnsupportedType(RagError):
    """Files of this type cannot be read yet."""

    code = "unsupported_type"


class IdempotencyMismatch(RagError):
    """This Idempotency-Key was used before with another body."""

    code = "idempotency_mismatch"


class MixedEmbeddingModels(RagError):
    """The knowledge bases use different embedding models, which cannot be searched together yet."""

    code = "mixed_embedding_models"


class RateLimited(RagError):
    """Too many attempts; wait a little."""

    code = "rate_limited"

    def __init__(self, message: str | None = None, *, retry_after_s: int = 60, **details: Any) -> None:
        super().__init__(message, **details)
        self.retry_after_s = retry_after_s


class BudgetExhausted(RateLimited):
    """The budget for this bot is used up."""

    code = "budget_exhausted"


class Stopped(RagError):
    """The answer was stopped before its end; what was said so far is in the message."""

    code = "stopped"


class Interrupted(RagError):
    """The server was stopped during this answer; what was said so far is in the message."""

    code = "interrupted"


class BotPaused(RagError):
    """This bot is paused."""

    code = "bot_paused"


# --- the surroundings -------------------------------------------------------------------------------------------


class ProviderError(RagError):
    """The model provider answered with an error."""

    code = "provider_error"


class ProviderTimeout(ProviderError):
    """The model provider did not answer in time."""

    code = "provider_timeout"


class StorageFull(RagError):
    """The disk is full; free some space and try again. Nothing was lost."""

    code = "storage_full"


class StorageUnwritable(StorageFull):
    """The disk does not take what is written to it: it is read-only or damaged. Nothing was lost."""

    code = "storage_unwritable"


class NotReady(RagError):
    """The server is starting or its database cannot be reached."""

    code = "not_ready"


class SettingsError(RagError):
    """A setting is wrong."""

    code = "bad_setting"


class StartError(RagError):
    """The server cannot start."""

    code = "cannot_start"


# --- documents that end as failed -------------------------------------------------------------------------------


class DocumentFailed(RagError):
    """The document could not be read."""

    code = "unreadable"


class DamagedFile(DocumentFailed):
    """The file is damaged: open it in its own program, save it again, and upload the new copy."""

    code = "damaged_file"


class EncryptedFile(DocumentFailed):
    """The file is encrypted in a way that no password opens here: save it without protection and upload it again."""

    code = "encrypted_file"


class PasswordNeeded(DocumentFailed):
    """The file is protected by a password: enter the password and it is read again."""

    code = "password_needed"


class PasswordWrong(DocumentFailed):
    """The password does not open the file: check it and enter it again."""

    code = "password_wrong"


class EmptyFile(DocumentFailed):
    """The file is empty."""

    code = "empty_file"


class NoText(DocumentFailed):
    """The file holds only pictures of text (a scan): run it through OCR and upload the result."""

    code = "no_text"


class MislabelledFile(DocumentFailed):
    """The content is not what the name of the file says."""

    code = "mislabelled_file"


class TooMuchContent(DocumentFailed):
    """The document is too large to be read: split it into smaller parts."""

    code = "too_much_content"


class ParserTimeout(DocumentFailed):
    """Reading the file took too long: split it into smaller parts."""

    code = "parser_timeout"


class ParserMemory(DocumentFailed):
    """Reading the file needed too much memory: split it into smaller parts."""

    code = "parser_memory"


class ParserCrashed(DocumentFailed):
    """The file made its parser crash; it is probably damaged or hostile."""

    code = "parser_crashed"


class Cancelled(DocumentFailed):
    """Cancelled by a person."""

    code = "cancelled"


class FetchFailed(DocumentFailed):
    """The address could not be fetched."""

    code = "fetch_failed"


class BlockedAddress(FetchFailed):
    """The address leads to a private or reserved network, which this server does not open."""

    code = "blocked_address"


def all_codes() -> dict[str, type[RagError]]:
    """Every stable code with the class that carries it."""
    found: dict[str, type[RagError]] = {}
    waiting: list[type[RagError]] = [RagError]
    while waiting:
        each = waiting.pop()
        found[each.code] = each
        waiting.extend(each.__subclasses__())
    return found
