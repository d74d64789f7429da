"""Prompt, history, answer stream, citation check. No database, no Reflex."""
