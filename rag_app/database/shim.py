"""The first moments of a child: ties its life to its parent's, drops to another account, becomes the program.

Run as a script in an isolated interpreter, with one argument: a JSON object as written by lifeline.spawn.
"""

import ctypes
import json
import os
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Turn into the program that the first argument describes. Does not return."""
    plan = json.loads(sys.argv[1])
    arguments = [_resolved(part, plan["folders"], plan["account"]) for part in plan["arguments"]]
    if plan["account"]:
        uid, gid = plan["account"]
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    _die_with(plan["parent"], plan["signal"])
    os.execv(arguments[0], arguments)  # noqa: S606  a fixed argument list from our own parent, no shell


def _resolved(part: str, folders: dict[str, str], account: object) -> str:
    """The argument with each {folder} in it replaced by a path that the child can open."""
    for name, path in folders.items():
        if "{" + name + "}" in part:
            part = part.replace("{" + name + "}", _door_to(path) if account else path)
    return part


def _door_to(path: str) -> str:
    # The other account may not pass the parents of the folder (a clone in a home of mode 0700). A descriptor opened
    # before the drop leads straight to it, so no parent has to be opened up for everybody.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(descriptor, True)
    return f"/proc/self/fd/{descriptor}"


def _die_with(parent: int, signal_number: int) -> None:
    """Ask the kernel for the signal when the parent dies (Linux; elsewhere the next start finds the orphan)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:  # it died before the request was in place
        sys.exit(1)


if __name__ == "__main__":
    main()
