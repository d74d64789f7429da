"""Carries out the steps of the Dockerfile in folders, for machines without a container engine."""

import fnmatch
import json
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench._bare_machine import Machine, copy_base


@dataclass
class Stage:
    """One `FROM` and what follows it."""

    root: Path
    folder: str = "/"
    user: str = "root"
    environment: dict[str, str] = field(default_factory=dict)
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def machine(self) -> Machine:
        """The stage as something that runs commands."""
        return Machine(self.root, self.environment, self.user, self.folder)


class ImageBuild:
    """Reads a Dockerfile step by step; an instruction it does not know is an error, not a silence."""

    def __init__(self, context: Path, base: Path, work: Path) -> None:
        self._context, self._base, self._work = context, base, work
        self._stages: dict[str, Stage] = {}
        self._kept = _kept_files(context)
        self._steps: dict[str, Callable[[Stage, str], None]] = {
            "WORKDIR": self._workdir,
            "ENV": self._env,
            "COPY": self._copy,
            "RUN": self._run,
            "USER": lambda stage, rest: setattr(stage, "user", rest),
            "VOLUME": lambda _stage, _rest: None,
            "EXPOSE": lambda _stage, _rest: None,
            "STOPSIGNAL": lambda _stage, _rest: None,
            "HEALTHCHECK": lambda stage, rest: setattr(stage, "health", json.loads(rest.partition("CMD ")[2])),
            "ENTRYPOINT": lambda stage, rest: setattr(stage, "entrypoint", json.loads(rest)),
            "CMD": lambda stage, rest: setattr(stage, "command", json.loads(rest)),
        }

    def build(self) -> Stage:
        """Carry out all steps; the last stage."""
        stage: Stage | None = None
        for line in (self._context / "Dockerfile").read_text().splitlines():
            if not line.strip() or line.startswith("#"):
                continue
            word, _, rest = line.partition(" ")
            print(f"   {line[:110]}", flush=True)
            if word == "FROM":
                stage = self._from(rest)
            elif stage is None:
                raise ValueError("a Dockerfile begins with FROM")
            else:
                self._steps[word](stage, rest.strip())
        if stage is None:
            raise ValueError("the Dockerfile is empty")
        return stage

    def _from(self, rest: str) -> Stage:
        name = rest.partition(" AS ")[2] or f"stage {len(self._stages)}"
        stage = self._stages[name] = Stage(self._work / name.replace(" ", "-"))
        copy_base(self._base, stage.root)
        return stage

    def _workdir(self, stage: Stage, rest: str) -> None:
        stage.folder = rest
        (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _env(self, stage: Stage, rest: str) -> None:
        name, _, value = rest.partition("=")
        stage.environment[name] = value

    def _run(self, stage: Stage, rest: str) -> None:
        stage.machine().run(["sh", "-c", rest])

    def _copy(self, stage: Stage, rest: str) -> None:
        source, target = shlex.split(re.sub(r"--from=\S+", "", rest))
        other = re.search(r"--from=(\S+)", rest)
        goal = stage.root / (target if target.startswith("/") else f"{stage.folder}/{target}").lstrip("/")
        if other:
            shutil.copytree(self._stages[other[1]].root / source.lstrip("/"), goal, symlinks=True, dirs_exist_ok=True)
            return
        for name in self._kept:
            if source == "." or name == source or name.startswith(source + "/"):
                inner = name if source == "." else name.removeprefix(source).lstrip("/")
                place = goal / inner if inner else goal
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(self._context / name, place)


def _kept_files(context: Path) -> list[str]:
    """Files that .dockerignore lets through (the form used here: everything out, some names in, some out again)."""
    lines = [line.strip() for line in (context / ".dockerignore").read_text().splitlines() if line.strip()]
    allowed = [line[1:] for line in lines if line.startswith("!")]
    refused = [line for line in lines[1:] if not line.startswith("!")]
    names = (path.relative_to(context).as_posix() for path in context.rglob("*") if path.is_file())
    return [
        name
        for name in sorted(names)
        if any(name == each or name.startswith(each + "/") for each in allowed)
        and not any(fnmatch.fnmatch("/" + name, f"*{each.removeprefix('**')}/*") for each in refused)
    ]
