"""The embedded Postgres really starts, stays private, dies with its parent and comes back after any crash."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from rag_app.database.cluster import Cluster
from rag_app.database.embedded import EmbeddedPostgres, running_url
from rag_app.database.engine import without_driver
from rag_app.errors import StartError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path / "data", durable=False)
    yield made
    made.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(without_driver(url), autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


def eventually(condition: Callable[[], bool], *, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def start_elsewhere(data_dir: Path) -> tuple[subprocess.Popen[str], int]:
    """A process of its own that starts the server and then waits. Returns it and the number of its Postgres."""
    program = (
        "import sys, time; from pathlib import Path; from rag_app.database.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]), durable=False); server.start()\n"
        "print(server.process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(data_dir)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    return parent, int(parent.stdout.readline())


def end(parent: subprocess.Popen[str]) -> None:
    parent.kill()
    parent.wait()
    assert parent.stdout is not None
    parent.stdout.close()


def test_it_brings_the_versions_the_product_needs(server: EmbeddedPostgres) -> None:
    url = server.start()
    assert int(str(ask(url, "SHOW server_version_num"))) >= 160000
    ask_version = "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
    assert tuple(map(int, str(ask(url, ask_version)).split("."))) >= (0, 8, 3)
    assert ask(url, "SELECT datlocale FROM pg_database WHERE datname = current_database()") == "C.UTF-8"


def test_it_is_closed_to_others(server: EmbeddedPostgres, tmp_path: Path) -> None:
    url = server.start()
    cluster = Cluster(tmp_path / "data")
    assert ask(url, "SHOW listen_addresses") == ""
    for folder in (cluster.home, cluster.tables, cluster.socket_folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    assert stat.S_IMODE(cluster.password_file.stat().st_mode) == 0o600
    wrong = without_driver(url).replace(cluster.password_file.read_text(), "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_durable_by_default(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    try:
        url = server.start()
        assert (ask(url, "SHOW fsync"), ask(url, "SHOW synchronous_commit")) == ("on", "on")
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop its rights")
def test_as_root_it_runs_as_an_account_without_rights(server: EmbeddedPostgres, tmp_path: Path) -> None:
    closed = tmp_path / "data"
    closed.mkdir(mode=0o700)
    server.start()
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert "0" not in fields["Uid"].split()
    assert fields["CapEff"].strip("0") == ""
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700  # no parent was opened up for it


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_an_ordinary_user_can_run_it(tmp_path: Path) -> None:
    for folder in [tmp_path, *tmp_path.parents]:
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)
    home = tmp_path / "theirs"
    home.mkdir()
    os.chown(home, 65534, 65534)
    program = (
        "import sys; from pathlib import Path; from rag_app.database.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]), durable=False); print(server.start()); server.stop()"
    )
    # The interpreter itself may live where that user cannot go, so the rights are dropped after its start.
    prefix = "import os, rag_app.database.embedded; os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    if not os.access("/proc", os.R_OK) or not _everybody_may_run(Path(sys.executable).resolve()):
        pytest.skip("the interpreter lives where an ordinary user cannot run it")
    done = subprocess.run([sys.executable, "-c", prefix + program, str(home / "data")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (home / "data" / "postgres" / "18").stat().st_uid == 65534


def _everybody_may_run(program: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in [program, *program.parents])


def test_data_survives_a_stop_and_a_start(server: EmbeddedPostgres) -> None:
    url = server.start()
    with psycopg.connect(without_driver(url), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    server.stop()
    assert not server.is_running()
    assert ask(server.start(), "SELECT n FROM kept") == 7


def test_committed_data_survives_kill_9(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    try:
        url = server.start()
        with psycopg.connect(without_driver(url), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 5000) AS n")
        assert server.process is not None
        server.process.kill()
        server.process.wait()
        assert not server.is_running()
        assert ask(server.start(), "SELECT count(*) FROM kept") == 5000
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux'")
def test_it_dies_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    parent, postgres = start_elsewhere(tmp_path / "data")
    assert is_alive(postgres)
    end(parent)
    assert eventually(lambda: not is_alive(postgres))


def test_a_start_right_after_kill_9_of_the_parent_works(server: EmbeddedPostgres, tmp_path: Path) -> None:
    parent, postgres = start_elsewhere(tmp_path / "data")
    os.kill(postgres, signal.SIGSTOP)  # it cannot act on the kernel's signal: a true orphan
    end(parent)
    assert is_alive(postgres)
    assert ask(server.start(), "SELECT 1") == 1
    assert not is_alive(postgres)


def test_a_second_server_on_the_folder_is_refused(server: EmbeddedPostgres, tmp_path: Path) -> None:
    url = server.start()
    second = EmbeddedPostgres(tmp_path / "data", durable=False)
    with pytest.raises(StartError, match="already in use"):
        second.start()
    second.stop()
    assert ask(url, "SELECT 1") == 1


def test_a_number_that_is_now_another_process_is_no_obstacle(server: EmbeddedPostgres, tmp_path: Path) -> None:
    server.start()
    server.stop()
    tables = Cluster(tmp_path / "data").tables
    lines = [str(os.getpid()), str(tables), "1", "5432", str(tables.parent / "run"), "", "0 0", "ready   "]
    (tables / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert running_url(tmp_path / "data") is None
    assert ask(server.start(), "SELECT 1") == 1


def test_running_url_tells_whether_one_runs(server: EmbeddedPostgres, tmp_path: Path) -> None:
    assert running_url(tmp_path / "data") is None
    url = server.start()
    assert running_url(tmp_path / "data") == url
    server.stop()
    assert running_url(tmp_path / "data") is None


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    server = EmbeddedPostgres(deep, durable=False)
    try:
        assert ask(server.start(), "SELECT 1") == 1
        assert not server.cluster.socket_folder.is_relative_to(deep)
        assert stat.S_IMODE(server.cluster.socket_folder.stat().st_mode) == 0o700
    finally:
        server.stop()
        server.cluster.socket_folder.rmdir()


def test_a_creation_cut_short_is_made_anew(server: EmbeddedPostgres, tmp_path: Path) -> None:
    half = Cluster(tmp_path / "data").home / "new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(server.start(), "SELECT 1") == 1
    assert not half.exists()


def test_a_database_of_another_release_is_left_alone(server: EmbeddedPostgres, tmp_path: Path) -> None:
    older = Cluster(tmp_path / "data").home / "17"
    older.mkdir(parents=True)
    (older / "PG_VERSION").write_text("17\n")
    with pytest.raises(StartError, match="made by Postgres 17"):
        server.start()


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="data folder"):
        EmbeddedPostgres(tmp_path / "file" / "data").start()
