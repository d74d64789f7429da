"""REST and SSE under /api/v1; one file per noun."""
