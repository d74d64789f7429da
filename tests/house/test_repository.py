"""What may not be in any file of the project: paths of one machine, hosts of package registries, secrets."""

import re

import pytest

from tests.house.source import ROOT, nothing, tracked_files

BINARY = (".png", ".jpg", ".ico", ".pdf", ".docx", ".woff2", ".gz", ".zip")
# Put together from pieces, so that this file does not contain what it looks for.
FORBIDDEN = {
    "a path of one machine": re.compile(r"(?<![\w.])/(?:" + "|".join(("wo" + "rk", "ro" + "ot", "fa" + "rm")) + r")/"),
    "a home folder": re.compile(r"(?<![\w.])/(?:ho" + r"me|Use" + r"rs)/[a-z]"),
    "a registry host": re.compile(
        r"https?://[^\s\"')]*(?:" + "|".join(("py" + r"pi\.", "pythonho" + "sted", "npm" + r"js\.", "jfr" + "og")) + ")"
    ),
    "a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY"),
    "a key of a provider": re.compile(r"\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}"),
}
# File and what it may hold although, with the reason.
ALLOWED: dict[tuple[str, str], str] = {}
LARGEST = 2_000_000


def broken_rules(text: str) -> list[str]:
    """What a text contains that it may not."""
    return [f"{name}: {found.group()}" for name, rule in FORBIDDEN.items() if (found := rule.search(text))]


def test_no_file_says_what_it_may_not() -> None:
    texts = [name for name in tracked_files() if not name.endswith(BINARY)]
    found = []
    for name in texts:
        text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        broken = (problem for problem in broken_rules(text) if (name, problem.split(": ")[0]) not in ALLOWED)
        found += [f"{name} holds {problem}" for problem in broken]
    nothing(found)


def test_no_file_is_huge() -> None:
    nothing([name for name in tracked_files() if (ROOT / name).stat().st_size > LARGEST])


def test_scripts_can_be_started() -> None:
    scripts = [name for name in tracked_files() if re.match(r"scripts/\w+$|\.ci/run$", name)]
    nothing([name for name in scripts if not (ROOT / name).stat().st_mode & 0o100])


def test_the_requirements_are_locked_with_hashes() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
        nothing([line[:80] for line in lines if "==" not in line or "--hash=sha256:" not in line])


@pytest.mark.parametrize(
    "text",
    [
        "see /ro" + "ot/data",
        "'/ho" + "me/ada/x'",
        "https://files.pythonho" + "sted.org/x",
        "resolved https://registry.npm" + "js.org/x",
        "sk-" + "a" * 40,
    ],
)
def test_a_breach_is_found(text: str) -> None:
    assert broken_rules(text)


@pytest.mark.parametrize("text", ["docs/work/x.md", "https://example.com/root/x", "$HOME/x", "~/data", "sk-short"])
def test_harmless_text_is_fine(text: str) -> None:
    assert broken_rules(text) == []
