"""Where the states find the context of the services: set once when the web process has opened it."""

from rag_app.errors import NotReady
from rag_app.services.context import Context

_opened: list[Context] = []


def provide(context: Context | None) -> None:
    """Set the context of this process; None takes it away."""
    _opened.clear()
    if context is not None:
        _opened.append(context)


def surroundings() -> Context:
    """The context. Raises NotReady while the server starts or stops."""
    if not _opened:
        raise NotReady
    return _opened[0]
