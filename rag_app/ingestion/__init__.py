"""Fetch, parse, cut, embed, store."""
