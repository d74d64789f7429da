"""Starts child processes that die with this one, whatever way it dies."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

SHIM = Path(__file__).with_name("shim.py")
# The kernel takes the end of the *thread* that started a child for the end of its parent. This one thread lives as
# long as the process.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

Output = int | IO[bytes]


@dataclass(frozen=True)
class Account:
    """Numbers of the account a child runs under."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Child:
    """What to start. `{name}` in an argument stands for the folder of that name, reachable from the child's account."""

    arguments: Sequence[str]
    account: Account | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    death_signal: signal.Signals = signal.SIGTERM
    stdin: int = subprocess.DEVNULL
    stdout: Output | None = None
    stderr: Output | None = None
    working_folder: Path | None = None
    descriptors: Sequence[int] = ()


def spawn(child: Child) -> subprocess.Popen[bytes]:
    """Start the child in a session of its own; it gets `death_signal` when this process ends. Safe from any thread."""
    return _SPAWNER.submit(_spawn, child).result()


def _spawn(child: Child) -> subprocess.Popen[bytes]:
    plan = {
        "arguments": list(child.arguments),
        "account": [child.account.uid, child.account.gid] if child.account else None,
        "folders": {name: str(path) for name, path in child.folders.items()},
        "parent": os.getpid(),
        "signal": int(child.death_signal),
    }
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(SHIM), json.dumps(plan)],
        stdin=child.stdin,
        stdout=child.stdout,
        stderr=child.stderr,
        env=dict(child.environment) if child.environment is not None else None,
        cwd=child.working_folder,
        pass_fds=tuple(child.descriptors),
        start_new_session=True,
    )
