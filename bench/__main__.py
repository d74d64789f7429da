"""Runs measurements by name or by group: `scripts/bench quality`."""

import importlib
import pkgutil
import sys
from pathlib import Path

import bench

GROUPS: dict[str, tuple[str, ...]] = {
    "quality": ("ocr", "quality", "ablation", "answers", "calibrate", "two_parts", "formats"),
    "speed": ("speed", "start", "ingest", "crawl", "parse", "search_speed", "first_token", "dependencies"),
    "faults": ("faults", "fault_lives", "bystander", "robust", "anchors", "switch", "restarts", "fresh"),
    "attacks": ("attacks",),
}


def source_of(name: str) -> str:
    """The source of a module of this folder."""
    return (Path(bench.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")


def names() -> list[str]:
    """Every measurement there is: the modules that have a `main`."""
    found = (module.name for module in pkgutil.iter_modules(bench.__path__))
    return sorted(name for name in found if not name.startswith("_") and "\ndef main(" in source_of(name))


def first_sentence(name: str) -> str:
    """What the measurement says of itself."""
    return source_of(name).removeprefix('"""').split('"""', 1)[0].split("\n", 1)[0].strip()


def show_list() -> int:
    """Print all measurements and groups."""
    print("scripts/bench NAME [arguments]     one measurement")
    for name in names():
        print(f"  {name:<14} {first_sentence(name)}")
    print("scripts/bench GROUP                several")
    for group, members in GROUPS.items():
        print(f"  {group:<14} {', '.join(member for member in members if member in names()) or '(nothing yet)'}")
    return 0


def run(name: str, arguments: list[str]) -> int:
    """Run one measurement; its exit code."""
    print(f"== {name}", flush=True)
    outcome: int = importlib.import_module(f"bench.{name}").main(arguments)
    return outcome


def main(arguments: list[str]) -> int:
    """Run what the arguments name. 0 = all went well, 1 = some failed, 2 = no such measurement."""
    if not arguments:
        return show_list()
    name, rest = arguments[0], arguments[1:]
    # A group and its main measurement may share a name: arguments mean the single one.
    if name in GROUPS and not (rest and name in names()):
        there = [member for member in GROUPS[name] if member in names()]
        for member in set(GROUPS[name]) - set(there):
            print(f"skipped: {member} (not part of this version)")
        return max((run(member, []) for member in there), default=0)
    if name not in names():
        print(f"no measurement or group is called {name!r}", file=sys.stderr)
        show_list()
        return 2
    return run(name, rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
