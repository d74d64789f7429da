"""rag_app: documents in, chatbots with checkable answers out."""

__version__ = "0.1.0"
