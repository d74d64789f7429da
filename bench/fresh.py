"""The two commands of the README on a bare Debian, and the steps of the Dockerfile, tried for real in folders.

The bare system is made by debootstrap and has python3, python3-venv and nothing else; the project is a clone.
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from bench._bare_machine import CannotTry, Machine, copy_base, make_base
from bench._image import ImageBuild
from bench._installation import ROOT, free_port, write_result

LIMIT_S = 900.0
QUESTION = "Which Python version do I need?"
Figures = dict[str, object]


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> float:
    """Seconds until /ready answers 200. Raises RuntimeError with the last words of the log."""
    began = time.monotonic()
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2):
                return time.monotonic() - began
        except OSError:
            if process.poll() is not None or time.monotonic() - began > LIMIT_S:
                raise RuntimeError(f"it did not get ready:\n{log.read_text()[-3000:]}") from None
        time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> float:
    """Seconds from SIGTERM to the end."""
    began = time.monotonic()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    subprocess.run(["kill", "-TERM", *children], check=True)
    process.wait(60)
    return time.monotonic() - began


def try_readme(base: Path, work: Path, user: str) -> Figures:
    """Clone, `scripts/run`, set up, ingest a document, ask: as that user of a bare machine."""
    root = work / f"machine-{user}"
    copy_base(base, root)
    home = "/root" if user == "root" else f"/home/{user}"
    if user != "root":
        Machine(root).run(["useradd", "--create-home", user])
    subprocess.run(["git", "clone", "-q", str(ROOT), str(root / home.lstrip("/") / "rag_app")], check=True)
    Machine(root).run(["chown", "-R", f"{user}:{user}", home])
    Machine(root).run(["chmod", "700", home])
    machine = Machine(root, user=user, folder=f"{home}/rag_app")
    port, log = free_port(), work / f"{user}.log"
    found: Figures = {}
    command = ["scripts/run", "--port", str(port)]
    with machine.running(command, log) as process:
        found["first run, s"] = round(wait_until_ready(process, port, log), 1)
        found |= _use(machine, process)
        found["stop, s"] = round(stop(process), 1)
    with machine.running(command, log) as process:
        found["warm start, s"] = round(wait_until_ready(process, port, log), 1)
        stop(process)
    return found


def _use(machine: Machine, process: subprocess.Popen[bytes]) -> Figures:
    """The main job on the running product: owner, document, answer with citations."""
    rag = [".venv/bin/python", "-m", "rag_app"]
    machine.enter(
        process, [*rag, "setup", "--email", "owner@example.com", "--password-stdin"], "a long pass phrase 1\n"
    )
    machine.enter(process, [*rag, "ingest", "README.md", "--kb", "trial", "--wait"])
    answer = json.loads(machine.enter(process, [*rag, "ask", QUESTION, "--kb", "trial", "--json"]))
    if not answer["citations"]:
        raise RuntimeError(f"the answer has no citation: {answer}")
    return {"citations": len(answer["citations"])}


def try_image(base: Path, work: Path) -> Figures:
    """Carry out the Dockerfile, run what it would run, ask its health check."""
    context = work / "context"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(context)], check=True)
    began = time.monotonic()
    stage = ImageBuild(context, base, work).build()
    found: Figures = {"image steps, s": round(time.monotonic() - began, 1)}
    app = stage.root / "app"
    size = subprocess.run(["du", "-sm", str(app)], capture_output=True, text=True, check=True)
    found["/app in the image, MB"] = int(size.stdout.split()[0])
    port, log = free_port(), work / "image.log"
    machine = Machine(stage.root, {**stage.environment, "RAG_PORT": str(port)}, stage.user, stage.folder)
    with machine.running([*stage.entrypoint, *stage.command], log) as process:
        found["container ready, s"] = round(wait_until_ready(process, port, log), 1)
        machine.enter(process, stage.health)
        found["health check"] = "ok"
        found["stop, s"] = round(stop(process), 1)
    return found


def main(arguments: list[str]) -> int:
    """Try and print. 1 when a trial fails; skipped (0) where it cannot be tried."""
    parser = argparse.ArgumentParser(prog="scripts/bench fresh", description=__doc__)
    parser.add_argument("trial", nargs="*", choices=["person", "root", "image", []], help="default: all three")
    parser.add_argument("--base", type=Path, help="folder of the bare system, kept for the next time")
    parser.add_argument("--keep", action="store_true", help="leave the machines behind and say where")
    options = parser.parse_args(arguments)
    work = Path(tempfile.mkdtemp(prefix="rag-fresh-"))
    work.chmod(0o755)
    results: dict[str, Figures] = {}
    try:
        base = options.base or work / "base"
        make_base(base)
        for trial in options.trial or ["person", "root", "image"]:
            print(f"-- {trial}", flush=True)
            results[trial] = try_image(base, work) if trial == "image" else try_readme(base, work, trial)
            for name, value in results[trial].items():
                print(f"{name:<28} {value}")
    except CannotTry as reason:
        print(f"skipped: {reason}")
        return 0
    except RuntimeError as problem:
        print(f"failed: {problem}")
        return 1
    finally:
        if options.keep:
            print(f"the machines are in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)
    write_result("fresh", {"trials": results})
    return 0
