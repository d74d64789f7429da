"""The hall: every use case once. Permission, transaction, orchestration."""
