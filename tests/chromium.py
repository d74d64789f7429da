"""Finds a Chromium for the browser tests, installs one where it may, or says how to."""

import os
import shutil
import subprocess
import sys

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Without these a browser talks to its maker at every start, which a closed network refuses by the dozen.
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


def flags() -> list[str]:
    """The options to start Chromium with. As root it cannot start its own sandbox."""
    return [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)


def find_or_install() -> str:
    """The path of a Chromium: one that is installed, else Debian's (as root), else Playwright's own."""
    found = _installed() or _from_debian() or _playwrights_own(install=False) or _playwrights_own(install=True)
    if found:
        return found
    pytest.fail(
        "no browser for the browser tests; install one with:  sudo apt-get install -y chromium  "
        f"(or: {sys.executable} -m playwright install chromium)"
    )


def _installed() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def _from_debian() -> str | None:
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return None
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        if subprocess.run(command, env=environment, capture_output=True, timeout=600).returncode != 0:
            return None
    return _installed()


def _playwrights_own(*, install: bool) -> str | None:
    if install:
        command = [sys.executable, "-m", "playwright", "install", "chromium"]
        if subprocess.run(command, capture_output=True, timeout=600).returncode != 0:
            return None
    script = "from playwright.sync_api import sync_playwright as p\nwith p() as a: print(a.chromium.executable_path)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    path = answer.stdout.strip()
    return path if path and os.path.exists(path) else None
