"""Sizes, names, docstrings and silenced warnings: what keeps each file readable in one sitting."""

import ast
import re

import pytest

from tests.house.source import PACKAGE, ROOT, Function, Module, modules, nothing, tracked_files

LONGEST_MODULE = 400
LONGEST_FUNCTION = 50
MOST_PARAMETERS = 5
MOST_POSITIONAL = 3
# Methods that a library calls: their parameters are not ours to choose.
FOREIGN_SIGNATURES = {"connect_tcp", "start_tls"}
OWNERS = {"self", "cls"}
# What a use case always begins with, in this order: nobody mixes these up.
USUAL_FIRST = {"context", "session", "connection", "actor"}
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|managers?|misc|handlers?)(_|$)")
VAGUE_CLASS = re.compile(r"(Utils?|Helpers?|Common|Manager|Misc|Handler)($|[A-Z])")
# The signature of a route or a command is the outside contract itself.
CONTRACT_ROOMS = {"api", "cli"}
# The doors, where an unknown error becomes a status, an exit code or a sentence.
DOORS = {"api", "cli", "worker", "state", "supervisor", "launcher", "rag_app"}
# Inner doors: file -> why everything may be caught there.
INNER_DOORS = {
    "rag_app/services/runs.py": "a run belongs to no request: whatever happens has to become its last event",
}
SILENCED = re.compile(r"#\s*(type:\s*ignore|noqa)")
SILENCED_WITH_REASON = re.compile(r"#\s*(type:\s*ignore\[[\w\-, ]+\]|noqa:\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*)\W+\w+")


def too_long(module: Module) -> list[str]:
    """Modules and functions that do not fit one reading."""
    lines = module.text.count("\n") + 1
    found = [f"{module.path} has {lines} lines"] if lines > LONGEST_MODULE else []
    for name, function in module.functions():
        length = (function.end_lineno or 0) - function.lineno + 1
        if length > LONGEST_FUNCTION:
            found.append(f"{module.path}:{function.lineno} {name} has {length} lines")
    return found


def too_many_parameters(module: Module) -> list[str]:
    """Functions with more than five parameters, or more than three that may be given without their name."""
    found = []
    for name, function in module.functions():
        if function.name in FOREIGN_SIGNATURES or (module.room in CONTRACT_ROOMS and function.decorator_list):
            continue
        positional = [each.arg for each in (*function.args.posonlyargs, *function.args.args) if each.arg not in OWNERS]
        everything = len(positional) + len(function.args.kwonlyargs)
        positional = [each for each in positional if each not in USUAL_FIRST]
        if everything > MOST_PARAMETERS:
            found.append(f"{module.path}:{function.lineno} {name} has {everything} parameters")
        if len(positional) > MOST_POSITIONAL and not _is_private(name):
            found.append(f"{module.path}:{function.lineno} {name} takes {', '.join(positional)} without their names")
    return found


def _is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


def vague_names(module: Module) -> list[str]:
    """Names that say nothing about what the thing does."""
    found = [f"{module.path} has a vague name"] if any(VAGUE.search(part) for part in module.name.split(".")) else []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and VAGUE_CLASS.search(node.name):
            found.append(f"{module.path}:{node.lineno} {node.name} is a vague name")
    return found


def missing_docstrings(module: Module) -> list[str]:
    """Modules, public classes and public functions that do not say what they are for."""
    found = [] if ast.get_docstring(module.tree) else [f"{module.path} has no docstring"]
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                found.append(f"{module.path}:{node.lineno} {node.name} has no docstring")
            if isinstance(node, ast.ClassDef):
                found += _undocumented_methods(module, node)
    return found


def _undocumented_methods(module: Module, owner: ast.ClassDef) -> list[str]:
    return [
        f"{module.path}:{method.lineno} {owner.name}.{method.name} has no docstring"
        for method in owner.body
        if isinstance(method, Function) and not method.name.startswith("_") and not ast.get_docstring(method)
    ]


def broad_excepts(module: Module) -> list[str]:
    """`except Exception` away from the doors, unless it only cleans up and raises again."""
    if module.room in DOORS or module.path in INNER_DOORS:
        return []
    return [
        f"{module.path}:{node.lineno} catches everything"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and _catches_everything(node) and not _raises_again(node)
    ]


def _catches_everything(node: ast.ExceptHandler) -> bool:
    kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
    return any(kind is None or ast.unparse(kind) in ("Exception", "BaseException") for kind in kinds)


def _raises_again(node: ast.ExceptHandler) -> bool:
    return isinstance(node.body[-1], ast.Raise)


def prints(module: Module) -> list[str]:
    """Prints outside the command line: everything else is a log line or an answer."""
    return [
        f"{module.path}:{node.lineno} prints"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        if module.room != "cli"
    ]


def unexplained_silence(module: Module) -> list[str]:
    """`type: ignore` and `noqa` without a rule and a reason beside it."""
    return [
        f"{module.path}:{number} {line.strip()}"
        for number, line in enumerate(module.text.splitlines(), 1)
        if SILENCED.search(line) and not SILENCED_WITH_REASON.search(line)
    ]


RULES_OF_THE_PACKAGE = [too_many_parameters, vague_names, missing_docstrings, broad_excepts, prints]


@pytest.mark.parametrize("rule", RULES_OF_THE_PACKAGE, ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule) -> None:  # type: ignore[no-untyped-def]  # each rule has the same shape
    nothing([line for module in modules(PACKAGE) for line in rule(module)])


def test_benches_and_tests_have_plain_names_and_say_what_they_are_for() -> None:
    found = []
    for module in modules("bench", "tests"):
        found += vague_names(module)
        found += [] if ast.get_docstring(module.tree) else [f"{module.path} has no docstring"]
    nothing(found)


def test_nothing_is_too_long() -> None:
    nothing([line for module in modules(PACKAGE, "bench", "tests") for line in too_long(module)])


def test_no_script_or_style_sheet_is_too_long() -> None:
    names = [name for name in tracked_files() if name.startswith("assets/") and name.endswith((".js", ".css", ".html"))]
    lengths = {name: (ROOT / name).read_text(encoding="utf-8").count("\n") for name in names}
    assert {name: length for name, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_silenced_checks_name_their_reason() -> None:
    everything = (module for module in modules(PACKAGE, "bench", "tests") if module.path != "tests/house/test_shape.py")
    nothing([line for module in everything for line in unexplained_silence(module)])


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (too_long, '"""x."""\n' * 401),
        (too_long, "def f():\n" + "    x = 1\n" * 50),
        (too_many_parameters, "def f(a, b, *, c, d, e, f): ..."),
        (too_many_parameters, "class A:\n    def f(self, a, b, c, d): ..."),
        (vague_names, "class TaskManager: ..."),
        (missing_docstrings, "x = 1"),
        (missing_docstrings, '"""m."""\ndef f(): ...'),
        (missing_docstrings, '"""m."""\nclass A:\n    """a."""\n    def f(self): ...'),
        (broad_excepts, "try:\n    f()\nexcept (ValueError, Exception):\n    pass"),
        (broad_excepts, "try:\n    f()\nexcept:\n    pass"),
        (prints, "print(1)"),
        (unexplained_silence, "x = 1  # noqa"),
        (unexplained_silence, "x = 1  # type: ignore[arg-type]"),
    ],
)
def test_a_rule_finds_what_breaks_it(rule, code: str) -> None:  # type: ignore[no-untyped-def]  # as above
    assert rule(Module("rag_app/chat/planted.py", code))


def test_a_vague_file_name_is_found() -> None:
    assert vague_names(Module("rag_app/chat/text_utils.py", ""))


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    f()\nexcept BaseException:\n    g()\n    raise",
        "x = f()  # type: ignore[no-any-return]  # the library has no types",
        "def _f(a, b, c, d): ...",
    ],
)
def test_a_rule_leaves_alone_what_is_right(code: str) -> None:
    module = Module("rag_app/chat/planted.py", code)
    assert broad_excepts(module) + unexplained_silence(module) + too_many_parameters(module) == []
