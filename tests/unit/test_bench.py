"""The list of measurements: complete, and each can be called by its name."""

import ast

import pytest

from bench import __main__ as bench
from tests.house.source import Module, modules

MEASUREMENTS = [module for module in modules("bench") if module.path.removeprefix("bench/")[:-3] in bench.names()]


def test_without_arguments_everything_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main([]) == 0
    printed = capsys.readouterr().out
    for name in (*bench.names(), *bench.GROUPS):
        assert f"\n  {name} " in printed


def test_an_unknown_name_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.main(["nonsense"]) == 2
    assert "'nonsense'" in capsys.readouterr().err


def test_every_measurement_belongs_to_a_group() -> None:
    assert {member for members in bench.GROUPS.values() for member in members} >= set(bench.names())


@pytest.mark.parametrize("module", MEASUREMENTS, ids=lambda module: module.path)
def test_a_measurement_takes_arguments_and_returns_an_exit_code(module: Module) -> None:
    (main,) = (node for node in module.tree.body if isinstance(node, ast.FunctionDef) and node.name == "main")
    assert len(main.args.args) == 1
    assert main.returns is not None
    assert ast.unparse(main.returns) == "int"
