"""The house's caretaker: one process that starts database, web and worker, keeps them up and stops them together."""

from rag_app.supervisor.caretaker import up

__all__ = ["up"]
