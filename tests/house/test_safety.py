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
# Where a statement is put together although: file -> why nothing from outside can get into it.
COMPOSED_SQL: dict[str, str] = {}
# By convention a name in capitals is a constant of the source; putting constants together lets nothing in.
CONSTANT = re.compile(r"_?[A-Z][A-Z0-9_]*\Z")
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
    """Statements with values pasted into their text, which reach the database."""
    if module.path in COMPOSED_SQL:
        return []
    found = []
    for scope in _scopes(module.tree):
        pasted = _pasted_names(scope) | _pasted_names(module.tree)
        for node in _nodes_of(scope):
            if isinstance(node, ast.Call) and _called(node) in EXECUTING and node.args:
                statement = node.args[0]
                if _is_pasted(statement) or (isinstance(statement, ast.Name) and statement.id in pasted):
                    found.append(f"{module.path}:{node.lineno} {ast.unparse(statement)[:60]}")
    return found


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, Function))


def _nodes_of(scope: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, Function):
            yield child
            yield from _nodes_of(child)


def _pasted_names(scope: ast.AST) -> set[str]:
    names = set()
    for node in _nodes_of(scope):
        if isinstance(node, ast.Assign) and _is_pasted(node.value):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and isinstance(node.op, ast.Add):
            names.add(node.target.id)
    return names


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _is_pasted(node: ast.expr) -> bool:
    """True for text that is put together from anything but constants."""
    if isinstance(node, ast.JoinedStr):
        return not _is_constant(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod | ast.Add):
        return not _is_constant(node) and _has_text(node)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join"):
        return _is_constant(node.func.value)
    return False


def _is_constant(node: ast.expr) -> bool:
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return bool(CONSTANT.match(name))
        case ast.BinOp(left=left, right=right):
            return _is_constant(left) and _is_constant(right)
        case ast.JoinedStr(values=parts):
            return all(_is_constant(part.value if isinstance(part, ast.FormattedValue) else part) for part in parts)
    return False


def _has_text(node: ast.AST) -> bool:
    parts = ast.walk(node)
    return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in parts)


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


def test_the_allow_list_names_only_files_that_need_it() -> None:
    paths = {module.path: module for module in modules(PACKAGE, "alembic")}
    for path, reason in COMPOSED_SQL.items():
        assert path in paths, f"{path} is gone"
        assert len(reason) > 20, f"say why {path} may"


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
        (code_from_data, "eval(answer)"),
    ],
)
def test_a_rule_finds_what_breaks_it(rule, code: str) -> None:  # type: ignore[no-untyped-def]  # as above
    assert rule(Module("rag_app/pages/planted.py", code))


def test_bound_parameters_are_fine() -> None:
    code = (
        "Q = 'SELECT :x ' 'FROM t'\nBOTH = f'{Q} {K.WHERE}' + _MORE\nc.execute(text(BOTH), {'x': 1})\nlog.info('a' + b)"
    )
    assert composed_sql(Module("rag_app/database/planted.py", code)) == []
