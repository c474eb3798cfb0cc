"""
A wrong rewrite, planted deep in densenet121 by a plugin: it is named, and reduced.

The network is onnx's own with drawn weights: 910 nodes, 58 Concats among them.
"""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx
import pytest
from sardonyx.compiler.demo import seeded_model
from sardonyx.compiler.plugins import plugins

LIGHT = Path(find_spec("onnx").origin).parent / "backend" / "test" / "data" / "light"
SECONDS = 120.0
"""How long each of them may take on two cores."""

PLUGIN = '''
from dataclasses import dataclass

from sardonyx.dialects.onnx.provenance import node_names
from sardonyx.passes.patterns import Declined, OnnxPattern, journal_of, rewrite_module
from xdsl.passes import ModulePass


@dataclass(frozen=True)
class SwapOperands(OnnxPattern):
    """Concat(a, b) -> Concat(b, a): wrong, at one node."""

    name = "swap-operands"
    roots = frozenset(["onnx.Concat"])
    node: str

    def decide(self, op):
        return True if self.node in node_names(op) else Declined("another node")

    def rewrite(self, op, found, builder):
        swapped = [op.operands[1], op.operands[0]]
        kinds = op.result_types
        made = builder.create(op.name, swapped, dict(op.properties), types=kinds)
        return [made.results[0]]


@dataclass(frozen=True)
class PlantedPass(ModulePass):
    """Swaps the operands of one Concat."""

    name = "planted"
    node: str = ""

    def apply(self, ctx, op):
        pattern = SwapOperands(ctx.store, journal_of(ctx), self.node)
        rewrite_module(op, pattern, recursively=False)
'''


@pytest.fixture(scope="module", name="densenet")
def densenet_fixture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The network's file, and the name of one of its Concats, the fortieth."""
    path = tmp_path_factory.mktemp("densenet") / "densenet121.onnx"
    proto = seeded_model(onnx.load(LIGHT / "light_densenet121.onnx"), seed=0)
    concats = [node for node in proto.graph.node if node.op_type == "Concat"]
    concats[40].name = "the wrong one"
    onnx.save(proto, path)
    return path, concats[40].name


@pytest.fixture(name="plugin")
def plugin_fixture(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "planted.py"
    path.write_text(PLUGIN)
    with plugins([]):
        yield path


def test_it_is_named_and_reduced(
    densenet: tuple[Path, str], plugin: Path, sardonyx: Any, tmp_path: Path
) -> None:
    path, node = densenet
    pipeline = f'remove-identities,planted{{node="{node}"}},fold-batch-norm'
    options = [path, "-p", pipeline, "--plugin", plugin]
    blamed = f"rewrite 1 of 1: node '{node}' (Concat): swap-operands: gave Concat"

    start = time.perf_counter()
    said = sardonyx("opt", *options, "--guard")
    assert said.code == 1
    assert f'pass planted{{node="{node}"}} (place 1): output' in said.err
    assert blamed in said.err
    guarded = time.perf_counter()
    assert guarded - start < SECONDS

    said = sardonyx("bisect", *options)
    assert said.code == 1
    lines = said.out.splitlines()
    assert lines[0] == f'pass     planted{{node="{node}"}}, place 1'
    assert lines[1] == blamed.replace("rewrite", "rewrite ", 1)
    bisected = time.perf_counter()
    assert bisected - guarded < SECONDS

    goal = tmp_path / "small"
    said = sardonyx("reduce", *options, "-o", goal)
    assert said.code == 0, said.err
    nodes = onnx.load(goal / "model.onnx").graph.node
    assert [one.name for one in nodes] == [node]
    assert time.perf_counter() - bisected < SECONDS
    replayed(goal, node)


def replayed(goal: Path, node: str) -> None:
    """The folder stands alone: its command names the rewrite, with its own plugin."""
    command = (goal / "replay.sh").read_text().splitlines()[-1]
    assert "--plugin plugins/0/planted.py" in command
    words = [sys.executable, "-c", "from sardonyx.compiler.cli import main; main()"]
    words += shlex.split(command)[1:]
    done = subprocess.run(words, cwd=goal, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert f"rewrite 1 of 1: node '{node}' (Concat): swap-operands" in done.stderr
