"""Rules whose breach would be a hole: unsafe rendering, SQL put together from text, code made from data."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.house.source import PACKAGE, Function, Module, modules, nothing

# The one module that may call each of these, wrapped so that it is safe.
UNSAFE_FURNITURE = {
    "markdown": "rag_app/components/safe_markdown.py",
    "html": None,
    "call_script": None,
    "run_script": None,
    "toast": None,
    "script": None,
}
EXECUTING = {"execute", "executemany", "exec_driver_sql", "scalar", "scalars", "stream", "text", "SQL", "DDL"}
# Functions that give a piece of a statement, and why nothing from outside can get into it.
FRAGMENTS = {
    "passage_filter": "its only argument is an alias written in the same room; the filter itself is bound",
}
# By convention a name in capitals is a constant of the source; putting constants together lets nothing in.
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*\Z")
CLIENTS = {
    f"httpx.{name}" for name in ("AsyncClient", "Client", "get", "post", "put", "delete", "head", "request", "stream")
} | {"socket.create_connection", "asyncio.open_connection", "smtplib.SMTP", "smtplib.SMTP_SSL"}
CODE_FROM_DATA = {"eval", "exec", "compile", "__import__"}


def unsafe_furniture(module: Module) -> list[str]:
    """Components that render raw HTML or run a script, outside their safe wrapper."""
    found = []
    for node in ast.walk(module.tree):
        name = _reflex_name(node)
        if name in UNSAFE_FURNITURE and UNSAFE_FURNITURE[name] != module.path:
            found.append(f"{module.path}:{getattr(node, 'lineno', 0)} uses rx.{name}")
        if isinstance(node, ast.keyword) and node.arg == "dangerously_set_inner_html":
            found.append(f"{module.path}:{node.value.lineno} sets inner HTML")
    return found


def _reflex_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("rx", "reflex"):
        return node.attr
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reflex":
        return next((alias.name for alias in node.names if alias.name in UNSAFE_FURNITURE), None)
    return None


def composed_sql(module: Module) -> list[str]:
    """Statements that reach the database with something in their text that is not constant."""
    found = []
    outside = _constants(module.tree, set())
    for scope in (module.tree, *(node for node in ast.walk(module.tree) if isinstance(node, Function))):
        known = _constants(scope, outside)
        pasted = _pasted_names(scope, known)
        for node in _nodes_of(scope):
            if isinstance(node, ast.Call) and _called(node) in EXECUTING and node.args:
                statement = node.args[0]
                if _is_pasted(statement, known) or (isinstance(statement, ast.Name) and statement.id in pasted):
                    found.append(f"{module.path}:{node.lineno} {ast.unparse(statement)[:60]}")
    return found


def _nodes_of(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, Function):
            yield child
            yield from _nodes_of(child)


def _assignments(scope: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in _nodes_of(scope):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names, values = _elements(target), _elements(node.value)
                pairs = (
                    zip(names, values, strict=True) if len(names) == len(values) else ((n, node.value) for n in names)
                )
                yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            # `q += x` makes text out of pieces as an f-string does.
            yield node.target.id, ast.JoinedStr(values=[ast.FormattedValue(value=node.value, conversion=-1)])


def _elements(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]


def _constants(scope: ast.AST, outside: set[str]) -> set[str]:
    """Names that only ever hold constants and integers here."""
    known = outside - _parameters(scope)
    assignments = list(_assignments(scope))
    for name in dict.fromkeys(name for name, _ in assignments):
        values = [value for other, value in assignments if other == name]
        known.discard(name)
        if name not in _parameters(scope) and all(_is_constant(value, known) for value in values):
            known.add(name)
    return known


def _parameters(scope: ast.AST) -> set[str]:
    if not isinstance(scope, Function):
        return set()
    given = scope.args
    return {each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def _pasted_names(scope: ast.AST, known: set[str]) -> set[str]:
    return {name for name, value in _assignments(scope) if name not in known and _is_text(value)}


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_pasted(node: ast.expr, known: set[str]) -> bool:
    return _is_text(node) and not _is_constant(node, known)


def _is_text(node: ast.expr) -> bool:
    """True for an expression that makes text out of pieces."""
    match node:
        case ast.JoinedStr():
            return True
        case ast.BinOp(op=ast.Mod() | ast.Add()):
            return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(node))
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "replace")):
            return True
    return False


def _is_constant(node: ast.expr, known: set[str]) -> bool:
    """True when nothing but constants of the source and integers can be in the value."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in known or bool(CONSTANT.match(name))
        case ast.Attribute(attr=name):
            return bool(CONSTANT.match(name))
        case ast.FormattedValue(value=value):
            return _is_constant(value, known)
        case ast.BinOp(left=left, right=right):
            return _is_constant(left, known) and _is_constant(right, known)
        case ast.IfExp(body=body, orelse=other):
            return _is_constant(body, known) and _is_constant(other, known)
        case ast.JoinedStr(values=parts):
            return all(_is_constant(part, known) for part in parts)
        case ast.Call(func=ast.Name(id=name)):
            return name == "int" or name in FRAGMENTS
        case ast.Call(func=ast.Attribute(value=base, attr="format" | "replace")):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            return all(_is_constant(each, known) for each in (base, *given))
    return False


def opened_connections(module: Module) -> list[str]:
    """Clients made outside the one module that checks addresses."""
    if module.room in ("egress", "supervisor"):  # the supervisor asks its own web process whether it is ready
        return []
    return [
        f"{module.path}:{node.lineno} calls {ast.unparse(node.func)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in CLIENTS
    ]


def code_from_data(module: Module) -> list[str]:
    """Calls that turn text into code."""
    return [
        f"{module.path}:{node.lineno} calls {node.func.id}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CODE_FROM_DATA
    ]


@pytest.mark.parametrize("rule", [unsafe_furniture, composed_sql, code_from_data], ids=lambda rule: rule.__name__)
def test_the_package_keeps(rule) -> None:  # type: ignore[no-untyped-def]  # each rule has the same shape
    nothing([line for module in modules(PACKAGE) for line in rule(module)])


def test_migrations_paste_nothing_into_statements() -> None:
    nothing([line for module in modules("alembic") for line in composed_sql(module)])


def test_nobody_else_opens_connections() -> None:
    nothing([line for module in modules(PACKAGE) for line in opened_connections(module)])


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (unsafe_furniture, "import reflex as rx\nrx.markdown(answer)"),
        (unsafe_furniture, "from reflex import html"),
        (unsafe_furniture, "rx.el.div(dangerously_set_inner_html={'__html': x})"),
        (composed_sql, "connection.execute(f'SELECT {name}')"),
        (composed_sql, "def f(c, t):\n    q = 'SELECT * FROM ' + t\n    c.execute(q)"),
        (composed_sql, "text('SELECT %s' % name)"),
        (composed_sql, "c.execute('SELECT {}'.format(name))"),
        (composed_sql, "def f(c, t):\n    q = 'SELECT 1'\n    q += t\n    c.execute(q)"),
        (composed_sql, "def f(c, n):\n    if n:\n        n = 1\n    c.execute(f'SET x = {n}')"),
        (composed_sql, "_Q = 'SELECT {w}'\ndef f(c, w):\n    c.execute(text(_Q.format(w=w)))"),
        (opened_connections, "async with httpx.AsyncClient() as client: ..."),
        (code_from_data, "eval(answer)"),
    ],
)
def test_a_rule_finds_what_breaks_it(rule, code: str) -> None:  # type: ignore[no-untyped-def]  # as above
    assert rule(Module("rag_app/pages/planted.py", code))


@pytest.mark.parametrize(
    "code",
    [
        "c.execute(f'SET x = {int(n)}')",
        "Q = 'SELECT :x ' 'FROM t'\nBOTH = f'{Q} {K.WHERE}' + _MORE\nc.execute(text(BOTH), {'x': 1})",
        "log.info('a' + b)",
    ],
)
def test_constants_and_bound_parameters_are_fine(code: str) -> None:
    assert composed_sql(Module("rag_app/database/planted.py", code)) == []
