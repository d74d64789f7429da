"""Furniture: pure functions of values and handlers; theme tokens."""
