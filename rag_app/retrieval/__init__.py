"""Dense, lexical, fusion, search."""
