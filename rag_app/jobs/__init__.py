"""The queue. It knows nothing of what a job does."""
