"""A bare Debian in a folder (debootstrap), and commands that run inside it with processes and mounts of their own."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches the registries: the only thing that is handed in besides the project.
HANDED_IN = ("PIP_", "NPM_CONFIG_", "SSL_CERT_", "NODE_EXTRA_CA_CERTS", "http_proxy", "https_proxy", "no_proxy")
NOT_INSIDE = {"PIP_FIND_LINKS", "PIP_CONFIG_FILE"}


class CannotTry(Exception):
    """This machine lacks what the trial needs; the message names it."""


def make_base(folder: Path) -> None:
    """Install the bare system into the folder if it is not there yet. Raises CannotTry when this machine cannot."""
    if (folder / "usr/bin/python3").exists():
        return
    if os.geteuid() != 0 or not shutil.which("debootstrap") or not shutil.which("unshare"):
        raise CannotTry("needs root and the packages debootstrap and util-linux")
    packages = ",".join(PACKAGES)
    command = ["debootstrap", "--variant=minbase", f"--include={packages}", SUITE, str(folder)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        raise CannotTry(f"debootstrap failed: {made.stdout.strip()[-300:]}")
    for name in ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"):
        if Path("/", name).exists():
            shutil.copyfile(Path("/", name), folder / name)


def copy_base(base: Path, target: Path) -> None:
    """A machine of its own, as it was after the installation."""
    subprocess.run(["cp", "-a", "--reflink=auto", str(base), str(target)], check=True)


@dataclass(frozen=True)
class Machine:
    """A system in a folder."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = "root"
    folder: str = "/"

    @contextmanager
    def running(self, command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command inside while the block runs; what it says goes to the log. At the end all inside is killed."""
        with log.open("ab") as output:
            process = subprocess.Popen(self._inside(command), stdout=output, stderr=output, env=self._environment())
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def run(self, command: Sequence[str], given: str = "") -> str:
        """Run a command inside to its end; its standard output. Raises RuntimeError with its last words."""
        done = subprocess.run(
            self._inside(command), input=given, capture_output=True, text=True, env=self._environment()
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)[:200]}: {(done.stderr or done.stdout).strip()[-1500:]}")
        return done.stdout

    def enter(self, process: subprocess.Popen[bytes], command: Sequence[str], given: str = "") -> str:
        """Run a command beside one that was started, among the same processes."""
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        prefix = ["nsenter", "--target", children[0], "--mount", "--pid", "--root"]
        done = subprocess.run(
            [*prefix, *self._as_user(command)], input=given, capture_output=True, text=True, env=self._environment()
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)[:200]}: {(done.stderr or done.stdout).strip()[-1500:]}")
        return done.stdout

    def _inside(self, command: Sequence[str]) -> list[str]:
        # A first process that hands signals on, as the engine of a container would give.
        first = 'mount -t proc proc /proc; "$@" & child=$!; trap "kill -TERM $child" TERM INT; wait $child; wait $child'
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return [*namespaces, "chroot", str(self.root), "sh", "-c", first, "sh", *self._as_user(command)]

    def _as_user(self, command: Sequence[str]) -> list[str]:
        change = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        there = ["sh", "-c", f'cd {self.folder} && exec "$@"', "sh"]
        return [*(change if self.user != "root" else []), *there, *command]

    def _environment(self) -> dict[str, str]:
        handed = {
            name: value for name, value in os.environ.items() if name.startswith(HANDED_IN) and name not in NOT_INSIDE
        }
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        return {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8", **handed, **self.environment}
