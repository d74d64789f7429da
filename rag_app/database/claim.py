"""The claim of one process on a folder: the kernel gives it up the moment the process ends, however it ends."""

import fcntl
import os
from pathlib import Path

from rag_app.errors import StartError


class FolderClaim:
    """An exclusive lock on a file in the folder, with the number of its holder inside."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the claim. Raises StartError when another process holds it, OSError when the folder is not writable."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            holder = os.read(descriptor, 20).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise StartError(
                f"The data folder {self._path.parent} is already in use (process {holder}): "
                f"stop that one, or set RAG_DATA_DIR to another folder."
            ) from problem
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the claim up. Does nothing without one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
