"""``sardonyx why``: near misses and rewrites, in the words of the user's nodes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler.debug.why import explain, standing_before, unknown_node
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import PIPELINES
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.onnx import DenseAttr, OnnxBuilder, OnnxOp, store_of
from sardonyx.dialects.onnx.provenance import node_names
from sardonyx.passes.fold_constants import constant_of
from sardonyx.passes.patterns import Declined, OnnxPattern, journal_of, rewrite_module
from xdsl.ir import SSAValue
from xdsl.passes import ModulePass

SHARED = Path(__file__).parents[4] / "shared" / "models"


LEVELS = {
    "O1": ("fold-constants", "remove-identities", "cse", "dce"),
    "O2": (
        "fold-constants",
        'fixpoint{passes="remove-identities,cse,dce"}',
        'fixpoint{passes="specialize-dims,fold-batch-norm,dce"}',
    ),
}


@pytest.fixture(autouse=True)
def levels_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels that stay what they are here."""
    for level, specs in LEVELS.items():
        monkeypatch.setitem(PIPELINES, level, specs)


BEFORE = ",".join((*LEVELS["O2"][:2], "specialize-dims"))


@pytest.fixture(name="chain")
def chain_fixture(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> Path:
    """Two convolutions with normalizations, and a normalization without."""
    parameters = ["s", "o", "m", "v"]
    nodes = [
        helper.make_node("Identity", ["x"], ["i"], name="same"),
        helper.make_node("Conv", ["i", "w"], ["c1"], name="conv1"),
        helper.make_node("BatchNormalization", ["c1", *parameters], ["n1"], name="bn1"),
        helper.make_node("Relu", ["n1"], ["r"], name="gate"),
        helper.make_node("BatchNormalization", ["r", *parameters], ["n2"], name="bn2"),
        helper.make_node("Conv", ["n2", "w"], ["c2"], name="conv2"),
        helper.make_node("BatchNormalization", ["c2", *parameters], ["n3"], name="bn3"),
        helper.make_node("Add", ["n3", "c2"], ["y"], name="both"),
    ]
    weights = [tensor_proto("w", np.ones((3, 3, 1, 1), np.float32))]
    weights += [tensor_proto(name, np.ones(3, np.float32)) for name in parameters]
    shape = ["batch", 3, 4, 4]
    path = tmp_path / "chain.onnx"
    proto = model_of(
        nodes, [value_info("x", shape)], [value_info("y", shape)], weights, "chain"
    )
    onnx.save(proto, path)
    return path


def test_what_applied_and_what_nearly_did(chain: Path) -> None:
    found = explain(chain, "fold-batch-norm")
    assert found.before == BEFORE
    assert [(one.pattern, one.nodes) for one in found.applied] == [
        ("batch-norm-into-conv", ("conv1", "bn1"))
    ]
    (miss,) = found.misses
    assert (miss.nodes, miss.op, miss.reason) == (
        ("bn3",),
        "onnx.BatchNormalization",
        "the convolution has other uses",
    )
    assert found.others == {"the producer is not a Conv": 1}


def test_the_command_says_it(sardonyx: Any, chain: Path) -> None:
    said = sardonyx("why", chain, "fold-batch-norm")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "fold-batch-norm on chain",
        f"  after {BEFORE}",
        "rewrote 1 time",
        "  batch-norm-into-conv: 1 time",
        "    node 'conv1', 'bn1' (BatchNormalization) -> Constant, Constant, Conv",
        "nearly rewrote 1 op",
        "  batch-norm-into-conv: the convolution has other uses: 1 op",
        "    node 'bn3' (BatchNormalization)",
        "not of its shape (--op NODE tells of one)",
        "  the producer is not a Conv: 1 op",
    ]


@pytest.mark.parametrize(
    ("node", "line"),
    [
        ("conv1", "rewrote 1 time"),
        ("bn1", "rewrote 1 time"),
        ("bn2", "  batch-norm-into-conv: the producer is not a Conv: 1 op"),
        ("bn3", "  batch-norm-into-conv: the convolution has other uses: 1 op"),
        ("both", "node 'both': no pattern of the pass begins there"),
        ("same", "node 'same' was gone before: a pass before rewrote it"),
    ],
)
def test_one_node(sardonyx: Any, chain: Path, node: str, line: str) -> None:
    said = sardonyx("why", chain, "fold-batch-norm", "--op", node)
    assert said.code == 0
    assert line in said.out.splitlines()
    found = json.loads(
        sardonyx("why", chain, "fold-batch-norm", "--op", node, "--json").out
    )
    told = [*found["applied"], *found["misses"]]
    assert len(told) == (node not in ("both", "same"))
    assert all(node in one["nodes"] for one in told)


@pytest.mark.parametrize(
    ("node", "near"),
    [("bn9", "'bn3'"), ("CONV", "'conv1', 'conv2'"), ("bath", "'both'")],
)
def test_an_unknown_node_gets_near_ones(
    sardonyx: Any, chain: Path, node: str, near: str
) -> None:
    said = sardonyx("why", chain, "fold-batch-norm", "--op", node)
    assert said.code == 2
    assert f"found node {node!r}, wanted one that the model has" in said.err
    assert near in said.err


def test_nothing_near_is_no_suggestion() -> None:
    assert (
        unknown_node("zzz", ["a"]) == "found node 'zzz', wanted one that the model has"
    )


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ([], BEFORE),
        (["-O", "0"], ""),
        (["-O", "1"], "fold-constants,remove-identities,cse,dce"),
        (["-p", "dce,O0"], "dce"),
    ],
)
def test_what_runs_before(
    sardonyx: Any, chain: Path, options: list[str], before: str
) -> None:
    said = sardonyx("why", chain, "fold-batch-norm", "--json", *options)
    assert json.loads(said.out)["before"] == before


def test_what_stands_before() -> None:
    assert standing_before("fold-constants") == ""
    assert standing_before("cse") == "fold-constants,remove-identities"
    assert standing_before("fold-batch-norm") == BEFORE
    assert standing_before("expand-functions") == ""


@pytest.mark.parametrize("name", ["cse", "dce"])
def test_a_pass_without_a_journal(sardonyx: Any, chain: Path, name: str) -> None:
    lines = sardonyx("why", chain, name).out.splitlines()
    assert len(lines) == 3
    assert "keeps no journal" in lines[-1]


def test_a_pass_with_nothing_to_do_has_a_journal(sardonyx: Any, pair: Path) -> None:
    said = sardonyx("why", pair, "fold-batch-norm")
    assert "rewrote 0 times" in said.out
    assert "nearly rewrote 0 ops" in said.out


@pytest.mark.parametrize("spec", ["cse,dce", "nope", "fixpoint{", ""])
def test_refused_passes(sardonyx: Any, chain: Path, spec: str) -> None:
    said = sardonyx("why", chain, spec)
    assert said.code == 2
    assert len(said.err.splitlines()) == 1


# --- patterns that change their mind ---


@dataclass(frozen=True)
class Settle(OnnxPattern[SSAValue]):
    """Takes a Relu of a Relu away, the last first: the others wait for it."""

    name = "settle"
    roots = frozenset(["onnx.Relu"])

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        inner = op.operands[0].owner
        if not isinstance(inner, OnnxOp) or inner.name != "onnx.Relu":
            return Declined("no Relu before it", near=False)
        users = [use.operation.name for use in op.results[0].uses]
        if "onnx.Relu" in users:
            return Declined("another Relu comes first")
        return op.operands[0]

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        return [found]


@dataclass(frozen=True)
class SettlePass(ModulePass):
    """Runs `Settle` once over the module."""

    name = "settle"

    def apply(self, ctx: Any, op: Any) -> None:
        pattern = Settle(store_of(ctx), journal_of(ctx))
        rewrite_module(op, pattern, recursively=False)


def test_what_a_pattern_said_last_counts(
    tmp_path: Path, model_of: Any, value_info: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a fixpoint an op that declined at first is not told as a miss."""
    from sardonyx.compiler import pipelines

    known = {**pipelines.all_passes(), "settle": lambda: SettlePass}
    monkeypatch.setattr(pipelines, "all_passes", lambda: known)
    names = ["x", "a", "b", "c", "y"]
    nodes = [
        helper.make_node("Relu", [one], [other], name=f"to_{other}")
        for one, other in pairwise(names)
    ]
    inputs, outputs = [value_info("x", [3])], [value_info("y", [3])]
    onnx.save(model_of(nodes, inputs, outputs), tmp_path / "m.onnx")
    once = explain(tmp_path / "m.onnx", "settle")
    whole = explain(tmp_path / "m.onnx", 'fixpoint{passes="settle"}')
    assert whole.ops_after == 1
    assert len(whole.applied) == 3
    assert whole.misses == ()
    assert len(once.applied) == 1
    assert [miss.nodes for miss in once.misses] == [("to_b",), ("to_c",)]


# --- real models ---


@dataclass(frozen=True)
class FuseGelu(OnnxPattern[SSAValue]):
    """``x * (erf(x / sqrt(2)) + 1) * 0.5  ->  Gelu(x)``."""

    name = "gelu"
    roots = frozenset(["onnx.Mul"])

    def decide(self, op: OnnxOp) -> SSAValue | Declined:
        product = op.operands[0].owner
        if not isinstance(product, OnnxOp) or product.name != "onnx.Mul":
            return Declined("no product of a product", near=False)
        total = product.operands[1].owner
        erf = total.operands[0].owner if total.name == "onnx.Add" else None
        if erf is None or erf.name != "onnx.Erf":
            return Declined("no Erf in it", near=False)
        half = constant_of(op.operands[1], self.store)
        if half is None or half().item() != 0.5:
            found = "nothing" if half is None else half().item()
            return Declined(f"the factor is {found}, not 0.5")
        if not total.results[0].has_one_use():
            return Declined("the sum has other uses")
        return product.operands[0]

    def rewrite(
        self, op: OnnxOp, found: SSAValue, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        return [builder.op("onnx.Gelu", found).results[0]]


@dataclass(frozen=True)
class FuseGeluPass(ModulePass):
    """Runs `FuseGelu`."""

    name = "fuse-gelu"

    def apply(self, ctx: Any, op: Any) -> None:
        rewrite_module(op, FuseGelu(store_of(ctx), journal_of(ctx)))


SCOPE = "/m/encoder/layer.1/intermediate/intermediate_act_fn"

if SHARED.exists():

    @pytest.mark.parametrize(
        ("name", "layers"), [("bert_tiny_dynamic", 2), ("minilm_l6", 6)]
    )
    def test_a_fusion_with_a_constraint_that_is_made_to_fail(
        name: str, layers: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sardonyx.compiler import pipelines

        known = {**pipelines.all_passes(), "fuse-gelu": lambda: FuseGeluPass}
        monkeypatch.setattr(pipelines, "all_passes", lambda: known)
        model = load(SHARED / f"{name}.onnx")
        whole = explain(model, "fuse-gelu", "O1")
        assert len(whole.applied) == layers
        assert whole.misses == ()
        (half,) = [
            op
            for op in model.main.body.walk()
            if node_names(op) == (f"{SCOPE}/Constant_2",)
        ]
        half.properties["value"] = DenseAttr.of(np.array(0.25, np.float32))
        found = explain(model, "fuse-gelu", "O1")
        assert len(found.applied) == layers - 1
        (miss,) = found.misses
        assert (miss.nodes, miss.reason) == (
            (f"{SCOPE}/Mul_1",),
            "the factor is 0.25, not 0.5",
        )
        (told,) = explain(model, "fuse-gelu", "O1", [f"{SCOPE}/Mul_1"]).misses
        assert told == miss
        with pytest.raises(SardonyxError, match=f"did you mean '{SCOPE}/Mul_1'"):
            explain(model, "fuse-gelu", ops=[f"{SCOPE}/Mul_11"])
