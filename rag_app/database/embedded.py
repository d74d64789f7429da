"""The embedded Postgres: started as our own child, waited for, stopped cleanly, found again after a crash."""

import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from rag_app.database.claim import FolderClaim
from rag_app.database.cluster import PLAIN_ENVIRONMENT, Cluster, account_of, explain, prepare, reachable_binaries
from rag_app.database.lifeline import Account, Child, spawn
from rag_app.errors import StartError
from rag_app.telemetry import log

READY_POLL_S = 0.02
STALLED_S = 180.0
LARGEST_LOG = 10_000_000
ENOUGH_SHARED_MEMORY = 256 * 1024 * 1024
BUFFERS_MB = (96, 512)
BUFFERS_SHARE = 1 / 16
"""Of the machine's memory. Pages are only taken once they hold something, so small installations stay small."""
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "max_locks_per_transaction": "128",
    "shared_memory_type": "mmap",
    "huge_pages": "off",
    "effective_cache_size": "512MB",
    "work_mem": "8MB",
    "maintenance_work_mem": "128MB",
    "max_worker_processes": "4",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "1",
    "max_parallel_maintenance_workers": "1",
    "autovacuum_max_workers": "2",
    "io_workers": "1",
    "jit": "off",
    "plan_cache_mode": "force_custom_plan",
    "random_page_cost": "1.1",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "min_wal_size": "64MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    # A failing statement would carry document text into the log, its details a key value.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # The sign of life that start() looks at while a recovery runs.
    "log_startup_progress_interval": "5s",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_SEES_PROCESSES = Path("/proc/self/cwd").exists()
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One Postgres below a data folder, on a unix socket only, running as a child of this process and dying with it."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        """`durable=False` switches fsync off: faster, and the data is lost with the machine. For tests only."""
        self.cluster = Cluster(data_dir)
        self.process: subprocess.Popen[bytes] | None = None
        self._durable = durable
        self._one_at_a_time = threading.RLock()
        self._claim = FolderClaim(self.cluster.home / "lock")

    @property
    def url(self) -> str:
        """The address for SQLAlchemy."""
        return self.cluster.url()

    def start(self) -> str:
        """Make what is missing, start, wait until connections are taken; returns the URL. Raises StartError.

        Leftovers of a killed predecessor are stopped first. A recovery may take as long as it makes progress.
        """
        with self._one_at_a_time:
            if self.is_running():
                return self.url
            try:
                self.cluster.make_home()
                self._claim.take()
                self._start()
            except OSError as problem:
                self._claim.release()
                raise StartError(explain(problem, self.cluster.data_dir)) from problem
            except BaseException:
                self._claim.release()
                raise
            return self.url

    def _start(self) -> None:
        stop_orphans(self.cluster)
        account = account_of(self.cluster)
        programs = reachable_binaries(account)
        prepare(self.cluster, account, programs, durable=self._durable)
        self._clear_leftovers()
        self.process = self._launch(account, programs)
        self._wait_until_ready(self.process)

    def stop(self, *, timeout_s: float = 8.0) -> None:
        """Disconnect everybody, write everything out, end. After the timeout harder; the next start then recovers."""
        with self._one_at_a_time:
            process, self.process = self.process, None
            try:
                _end(process, timeout_s)
            finally:
                self._claim.release()

    def is_running(self) -> bool:
        """True while the server process of this object lives."""
        return self.process is not None and self.process.poll() is None

    def _launch(self, account: Account | None, programs: Path) -> subprocess.Popen[bytes]:
        settings = {
            **SETTINGS,
            "shared_buffers": f"{_buffers_mb()}MB",
            **(DURABLE if self._durable else NOT_DURABLE),
            "dynamic_shared_memory_type": _dynamic_memory(),
            "unix_socket_directories": "{run}",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        folders = {"tables": self.cluster.tables, "run": self.cluster.socket_folder}
        with self.cluster.log_file.open("ab") as output:
            return spawn(
                Child(
                    [str(programs / "postgres"), "-D", "{tables}", *options],
                    account=account,
                    folders=folders,
                    environment=PLAIN_ENVIRONMENT,
                    death_signal=signal.SIGINT,
                    stdout=output,
                    stderr=output,
                    working_folder=Path("/"),
                )
            )

    def _clear_leftovers(self) -> None:
        """Remove what a killed server left: it would stop the next one when the number in it is another's by now."""
        if _SEES_PROCESSES:  # elsewhere Postgres' own look at its helpers through this file is the better guard
            (self.cluster.tables / "postmaster.pid").unlink(missing_ok=True)
        for entry in self.cluster.socket_folder.iterdir():
            entry.unlink()
        log_file = self.cluster.log_file
        if log_file.exists() and log_file.stat().st_size > LARGEST_LOG:
            log_file.replace(log_file.with_name("log.old"))

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        seen, seen_at = -1, time.monotonic()
        begins_at = self.cluster.log_file.stat().st_size if self.cluster.log_file.exists() else 0
        while not _says_ready(self.cluster.tables, process.pid):
            if process.poll() is not None:
                self.process = None
                raise StartError(_reason(self.cluster, begins_at))
            size = self.cluster.log_file.stat().st_size
            if size != seen:
                seen, seen_at = size, time.monotonic()
            elif time.monotonic() - seen_at > STALLED_S:
                self.stop()
                raise StartError(f"The database does not get ready; its log is {self.cluster.log_file}.")
            time.sleep(READY_POLL_S)


def _end(process: subprocess.Popen[bytes] | None, timeout_s: float) -> None:
    if process is None or process.poll() is not None:
        return
    for signal_number, patience_s in ((signal.SIGINT, timeout_s), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 3.0)):
        process.send_signal(signal_number)
        try:
            process.wait(patience_s)
            return
        except subprocess.TimeoutExpired:
            log.warning("database_slow_to_stop", signal=signal_number.name)


def running_url(data_dir: Path) -> str | None:
    """The URL of the embedded Postgres of that data folder when one runs, whoever started it; else None."""
    cluster = Cluster(data_dir)
    server = _server_of(cluster)
    return cluster.url() if server is not None and _says_ready(cluster.tables, server) else None


def stop_orphans(cluster: Cluster) -> None:
    """End every Postgres process that works in this data folder and is no longer ours: the server, then its helpers."""
    for signal_number, patience_s in ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
        found = _processes_in(cluster)
        if not found:
            return
        log.warning("database_orphans_stopped", signal=signal_number.name, processes=len(found))
        server = _server_of(cluster)
        # Helpers end with their server; without one they are told themselves.
        for pid in [server] if server else found:
            _signal(pid, signal_number)
        deadline = time.monotonic() + patience_s
        while _processes_in(cluster) and time.monotonic() < deadline:
            time.sleep(0.05)
    if _processes_in(cluster):
        raise StartError(
            f"Another Postgres still works in {cluster.tables} and cannot be stopped: end it and start again."
        )


def _signal(pid: int, signal_number: signal.Signals) -> None:
    try:
        os.kill(pid, signal_number)
        os.kill(pid, signal.SIGCONT)  # a suspended one would never hear it
    except ProcessLookupError:
        return
    except PermissionError as problem:
        raise StartError(f"A Postgres of another account (pid {pid}) still works here: end it first.") from problem


def _server_of(cluster: Cluster) -> int | None:
    """The number of the live server process of this folder: the one in its lock file, if it is truly that."""
    try:
        pid = int((cluster.tables / "postmaster.pid").read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
    return pid if _works_in(pid, cluster.tables) else None


def _processes_in(cluster: Cluster) -> list[int]:
    """Live Postgres processes whose working directory is this data folder."""
    if not cluster.tables.exists():
        return []
    if not _SEES_PROCESSES:
        server = _server_of(cluster)
        return [server] if server else []
    numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in numbers if _works_in(pid, cluster.tables)]


def _works_in(pid: int, folder: Path) -> bool:
    if not _SEES_PROCESSES:
        return _is_postgres_by_command(pid, folder)
    try:
        # A process of Postgres works in its data directory and never leaves it; a reused number does not.
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        return name == "postgres" and os.path.samefile(f"/proc/{pid}/cwd", folder)
    except OSError:
        return False


def _is_postgres_by_command(pid: int, folder: Path) -> bool:
    ps = shutil.which("ps") or "/bin/ps"
    answer = subprocess.run([ps, "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return "postgres" in answer.stdout and str(folder) in answer.stdout


def _says_ready(tables: Path, pid: int) -> bool:
    """Postgres writes its state into its lock file: line 1 is the process, line 8 the state."""
    try:
        lines = (tables / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _reason(cluster: Cluster, begins_at: int) -> str:
    with cluster.log_file.open("rb") as file:
        file.seek(begins_at)
        said = file.read().decode(errors="replace")
    if "No space left on device" in said:
        return f"The disk of {cluster.data_dir} is full: free some space and start again. Nothing was lost."
    fatal = [line.split("FATAL: ", 1)[1].strip() for line in said.splitlines() if "FATAL: " in line]
    last = fatal[-1] if fatal else (said.strip().splitlines() or ["it said nothing"])[-1]
    return f"The embedded Postgres did not start: {last} (its log is {cluster.log_file})"


def _buffers_mb() -> int:
    """Room for what is searched often: of a large vector index a question visits thousands of pages."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max" when there is no limit
        memory = min(memory, int(_MEMORY_LIMIT.read_text("ascii")))
    least, most = BUFFERS_MB
    return max(least, min(most, int(memory * BUFFERS_SHARE / 1_000_000)))


def _dynamic_memory() -> str:
    """`posix` where /dev/shm is open to all and has room; else (small containers) files in the data folder do."""
    shared = Path("/dev/shm")  # noqa: S108  only asked for its rights and free space
    if not _SEES_PROCESSES:
        return "posix"
    try:
        open_to_all = shared.stat().st_mode & stat.S_IWOTH
        free = shutil.disk_usage(shared).free
    except OSError:
        return "mmap"
    return "posix" if open_to_all and free >= ENOUGH_SHARED_MEMORY else "mmap"
