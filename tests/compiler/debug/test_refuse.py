"""``--refuse-slower``: what is slower is undone, and nothing else."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.bench.protocol import Block, Plan
from sardonyx.compiler.cost.choose import choose
from sardonyx.compiler.debug import refuse
from sardonyx.compiler.debug.refuse import (
    Built,
    Noted,
    Outcome,
    Refusal,
    RefuseError,
    Search,
    refuse_slower,
)
from sardonyx.compiler.debug.refuse_specs import (
    may_be_undone,
    names_in,
    sparing,
    text_of,
    without,
)
from sardonyx.compiler.debug.refuse_timing import ArtifactStopwatch, CannotRun, Pair
from sardonyx.compiler.debug.trial import Inputs
from sardonyx.compiler.driver import Executable, compile_model, load
from sardonyx.compiler.pipelines import (
    PIPELINES,
    SOMETIMES,
    parse_pipeline,
    passes_in,
    run_pipeline,
    spec_of,
)
from sardonyx.compiler.plugins import plugins
from sardonyx.dialects.errors import SardonyxError

PLUGIN = '''
"""A lowering that is slower, one that is faster, and one that says nothing."""

from dataclasses import dataclass

from sardonyx.backends.program import LoweringError
from sardonyx.dialects.onnx import store_of
from sardonyx.passes.patterns import Declined, OnnxPattern, journal_of, rewrite_module
from xdsl.passes import ModulePass


@dataclass(frozen=True)
class Long(OnnxPattern[bool]):
    name = "relu-and-negations"
    roots = frozenset(["onnx.Relu"])

    def decide(self, op):
        return True

    def rewrite(self, op, found, builder):
        value = builder.value("onnx.Relu", op.operands[0])
        for _ in range(50):
            value = builder.value("onnx.Neg", value)
        return [value]


@dataclass(frozen=True)
class SlowReluPass(ModulePass):
    """Negates what a Relu gives fifty times."""

    name = "slow-relu"

    def apply(self, ctx, op):
        pattern = Long(store_of(ctx), journal_of(ctx))
        rewrite_module(op, pattern, recursively=False)


@dataclass(frozen=True)
class Two(OnnxPattern[bool]):
    name = "two-negations"
    roots = frozenset(["onnx.Neg"])

    def decide(self, op):
        owner = op.operands[0].owner
        if getattr(owner, "name", "") != "onnx.Neg":
            return Declined("it negates no negation", near=False)
        return True

    def rewrite(self, op, found, builder):
        return [op.operands[0].owner.operands[0]]


@dataclass(frozen=True)
class FewerNegationsPass(ModulePass):
    """Takes two negations away."""

    name = "fewer-negations"

    def apply(self, ctx, op):
        rewrite_module(op, Two(store_of(ctx), journal_of(ctx)))


@dataclass(frozen=True)
class NeededPass(ModulePass):
    """Marks the module for `judging`."""

    name = "needed"

    def apply(self, ctx, op):
        from xdsl.dialects.builtin import UnitAttr

        op.attributes["needed"] = UnitAttr()


@dataclass(frozen=True)
class JudgingPass(ModulePass):
    """Takes a marked module only."""

    name = "judging"

    def apply(self, ctx, op):
        if "needed" not in op.attributes:
            raise LoweringError("found an unmarked module, wanted `needed` before")
'''


@pytest.fixture(name="plugin")
def plugin_fixture(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    with plugins([path]):
        yield path


def network(width: int, wide: int) -> onnx.ModelProto:
    """Three Relus with products between: two of one width, one of another."""
    rng = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        array = rng.standard_normal(shape).astype(np.float32)
        return numpy_helper.from_array(array / np.float32(shape[0]), name)

    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="relu1"),
        helper.make_node("MatMul", ["a", "v"], ["b"], name="up"),
        helper.make_node("Relu", ["b"], ["c"], name="relu2"),
        helper.make_node("MatMul", ["c", "w"], ["d"], name="down"),
        helper.make_node("Relu", ["d"], ["y"], name="relu3"),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "relus",
        [helper.make_tensor_value_info("x", kind, ["n", width])],
        [helper.make_tensor_value_info("y", kind, ["n", width])],
        [weight("v", width, wide), weight("w", wide, width)],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


@pytest.fixture(name="relus")
def relus_fixture(tmp_path: Path) -> Path:
    path = tmp_path / "relus.onnx"
    onnx.save(network(8, 16), path)
    return path


Price = Callable[[Executable], float]


def ops(executable: Executable, name: str, width: int | None = None) -> int:
    """How many ops of a name there are, giving results of a width."""
    found = [op for op in executable.model.main.walk() if op.name == name]
    return sum(width in (None, op.results[0].type.get_shape()[-1]) for op in found)


def by_length(executable: Executable) -> float:
    """As slow as it has ops."""
    return sum(1.0 for op in executable.model.main.walk() if op.results)


@dataclass
class Priced:
    """A stopwatch that reads prices, with noise on them."""

    price: Price = by_length
    noise: float = 0.0
    seed: int = 0
    pairs: list[tuple[float, float]] = field(default_factory=list)

    def __call__(
        self, kept: Executable, without: Executable, seconds: float, report: Any
    ) -> Pair:
        assert seconds > 0
        prices = self.price(kept), self.price(without)
        self.pairs.append(prices)
        return self.pair(*prices)

    def pair(self, kept: float, without: float) -> Pair:
        rng = np.random.default_rng([self.seed, len(self.pairs)])
        return Pair(
            *([self.block(r, p, rng) for r in range(8)] for p in (kept, without))
        )

    def block(self, turn: int, price: float, rng: np.random.Generator) -> Block:
        draws = rng.normal(0, self.noise, 5)
        return Block(turn, tuple(price * float(np.exp(d)) for d in draws))


def refused(
    path: Path, pipeline: str, stopwatch: Any, monkeypatch: Any, **given: Any
) -> Refusal:
    """What is left of `pipeline` when `stopwatch` says how fast programs are."""
    monkeypatch.setattr(refuse, "ArtifactStopwatch", lambda *_: stopwatch)
    return refuse_slower(path, "numpy", pipeline, **given)


# --- who is undone ---


@pytest.mark.usefixtures("plugin")
def test_a_slower_pass_is_undone_and_both_numbers_told(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopwatch = Priced()
    found = refused(relus, "dce,slow-relu,cse", stopwatch, monkeypatch)
    assert found.pipeline == "dce,cse"
    plain = by_length(compile_model(relus, "numpy", "dce,cse"))
    whole, *shapes = found.decisions
    assert (whole.name, whole.rewrites) == ("slow-relu", 3)
    assert whole.outcome is Outcome.undone
    assert (whole.with_seconds, whole.without_seconds) == (plain + 150, plain)
    assert whole.ratios == pytest.approx([(plain + 150) / plain] * 3)
    # Every shape is to blame, so nothing of the pass is left.
    assert [row.rewrites for row in shapes] == [2, 1]
    assert {row.outcome for row in shapes} == {Outcome.undone}
    assert "Relu(tensor<?x8xf32" in shapes[0].shape
    # That it is slower was asked twice.
    assert stopwatch.pairs[0] == stopwatch.pairs[1] == (plain + 150, plain)


@pytest.mark.usefixtures("plugin")
def test_a_faster_pass_is_kept(relus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = "slow-relu,fewer-negations"
    slow_first = refused(relus, spec, Priced(), monkeypatch)
    rows = {row.name: row for row in slow_first.decisions}
    assert rows["fewer-negations"].outcome is Outcome.kept
    kept = rows["fewer-negations"]
    assert kept.with_seconds is not None
    assert kept.without_seconds is not None
    assert kept.with_seconds < kept.without_seconds
    assert slow_first.pipeline == spec


@pytest.mark.usefixtures("plugin")
def test_only_the_shape_that_is_slower_is_undone(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def price(executable: Executable) -> float:
        wide = ops(executable, "onnx.Neg", 16)
        return 100 + 2 * wide - 0.5 * ops(executable, "onnx.Neg", 8)

    found = refused(relus, "slow-relu,dce", Priced(price), monkeypatch)
    assert found.pipeline == 'spare{nodes="relu2" passes="slow-relu"},dce'
    whole, narrow, wide = found.decisions
    assert whole.outcome is Outcome.partly
    assert (whole.with_seconds, whole.without_seconds) == (150, 100)
    assert (narrow.outcome, narrow.rewrites) == (Outcome.kept, 2)
    assert (wide.outcome, wide.rewrites) == (Outcome.undone, 1)
    assert (wide.with_seconds, wide.without_seconds) == (150, 50)
    model = compile_model(relus, "numpy", found.pipeline)
    assert price(model) == 50
    assert [ops(model, "onnx.Neg", width) for width in (8, 16)] == [100, 0]


@pytest.mark.usefixtures("plugin")
def test_a_slower_pass_within_a_fixpoint(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = 'fixpoint{passes="cse,dce"},fixpoint{passes="slow-relu" max-rounds=1}'
    with pytest.raises(SardonyxError, match="still changing"):
        refused(relus, spec, Priced(), monkeypatch)
    once = 'fixpoint{passes="cse,fewer-negations"},slow-relu,fewer-negations'
    found = refused(relus, f"{once},slow-relu", Priced(), monkeypatch)
    assert found.pipeline == once.replace(",slow-relu", "")


@pytest.mark.usefixtures("plugin")
def test_noise_undoes_nothing(relus: Path) -> None:
    def built(spec: str) -> Built:
        noted, passes = Noted(), parse_pipeline(spec)
        made = compile_model(relus, "numpy", spec, instruments=[noted])
        return Built(passes, made, noted, spec)

    whole, less = built("slow-relu,dce"), built("dce")
    fooled = 0
    for seed in range(500):
        # The programs differ, and are equally fast; a call varies by a third.
        stopwatch = Priced(lambda _: 1.0, 0.3, seed)
        search = Search(lambda _: less, stopwatch, whole, math.inf, lambda: 0.0)
        search.run()
        assert search.current is whole
        assert [row.outcome for row in search.decisions] == [Outcome.kept]
        fooled += len(stopwatch.pairs) - 1
    # One look alone would have undone some.
    assert fooled > 0


def test_when_a_pair_says_slower() -> None:
    exact = Priced()
    assert exact.pair(1.05, 1.0).is_slower
    assert not exact.pair(1.01, 1.0).is_slower
    assert not exact.pair(0.5, 1.0).is_slower
    kept, without = exact.pair(1.3, 1.0).kept, exact.pair(1.3, 1.0).without

    def with_rounds(*seconds: float) -> Pair:
        spoilt = [Block(r, (s,) * 5) for r, s in enumerate(seconds)]
        return Pair([*spoilt, *kept[len(seconds) :]], without)

    assert with_rounds(0.9).is_slower
    assert not with_rounds(0.9, 0.9).is_slower
    # The median is above the margin, and far from sure.
    assert not with_rounds(1.01, 1.7, 1.02, 1.02, 2.0, 1.03, 1.04, 1.9).is_slower
    assert not Pair(kept[:3], without[:3]).is_slower
    assert Pair(kept[:4], without[:4]).is_slower
    many = [Block(r, (1.0,) * 5) for r in range(24)]
    for spoilt, is_slower in ((7, True), (8, False)):
        seconds = [0.9] * spoilt + [1.3] * (24 - spoilt)
        kept = [Block(r, (s,) * 5) for r, s in enumerate(seconds)]
        assert Pair(kept, many).is_slower is is_slower


@pytest.mark.usefixtures("plugin")
def test_equal_programs_are_not_timed(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopwatch = Priced(lambda _: 1.0, 0.3)
    found = refused(relus, "needed,dce,cse", stopwatch, monkeypatch)
    assert [(row.name, row.outcome) for row in found.decisions] == [
        ("needed", Outcome.same)
    ]
    assert found.pipeline == "needed,dce,cse"
    assert stopwatch.pairs == []


@pytest.mark.usefixtures("plugin")
def test_a_pass_that_another_needs_is_kept(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = refused(relus, "needed,judging", Priced(), monkeypatch)
    needed, judging = found.decisions
    assert (needed.name, needed.outcome) == ("needed", Outcome.needed)
    assert needed.reason == "found an unmarked module, wanted `needed` before"
    assert judging.outcome is Outcome.same
    assert found.pipeline == "needed,judging"


@pytest.mark.usefixtures("plugin")
def test_without_time_only_what_must_be_measured_goes(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refuse, "SOMETIMES", ("fewer-negations",))
    spec = "slow-relu,fewer-negations"
    stopwatch = Priced()
    found = refused(relus, spec, stopwatch, monkeypatch, budget_seconds=0.0)
    assert found.pipeline == "slow-relu"
    assert [(row.name, row.outcome) for row in found.decisions] == [
        ("fewer-negations", Outcome.undone),
        ("slow-relu", Outcome.unmeasured),
    ]
    assert found.decisions[0].reason == "not measured: the budget is spent"
    assert stopwatch.pairs == []


# --- who cannot run ---


@dataclass
class Failing:
    """A stopwatch of which one program fails."""

    kept: bool

    def __call__(self, *_: Any) -> Pair:
        raise CannotRun("crashed: exit code 7", self.kept)


@pytest.mark.usefixtures("plugin")
def test_a_program_that_only_runs_with_the_pass(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = refused(relus, "slow-relu", Failing(False), monkeypatch)
    (row,) = found.decisions
    assert (row.outcome, row.reason) == (Outcome.needed, "crashed: exit code 7")
    assert found.pipeline == "slow-relu"


@pytest.mark.usefixtures("plugin")
def test_a_model_that_does_not_run_is_refused(
    relus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RefuseError) as told:
        refused(relus, "slow-relu", Failing(True), monkeypatch)
    assert str(told.value) == "refuse-slower: it cannot run: crashed: exit code 7"


def test_an_artifact_that_fails_is_named(relus: Path) -> None:
    fine = compile_model(relus, "numpy", "O1")
    x = np.zeros((2, 8), np.float32)
    stopwatch = ArtifactStopwatch({"x": x}, 1, Plan(4, 2, 0, 0.0))
    assert len(stopwatch(fine, fine, 0.1).kept) == 4
    with pytest.raises(CannotRun, match="found shape"):
        replace(stopwatch, arrays={"x": x[:, :3]})(fine, fine, 0.1)


def test_an_input_that_is_none(relus: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "z.npy", np.zeros(3))
    given = Inputs((f"z={tmp_path / 'z.npy'}",))
    with pytest.raises(SardonyxError, match=r"found input 'z', wanted one of \['x'\]"):
        refuse_slower(relus, "numpy", "O1", inputs=given)


# --- pipelines ---


def test_pipelines_without_a_pass() -> None:
    passes = parse_pipeline(spec_of("O2", "jax"))
    for name in ("fuse-gelu", "fold-affine", "cse"):
        left = parse_pipeline(text_of(without(passes, name)))
        assert {*names_in(left)} == {*names_in(passes)} - {name}
    inner = parse_pipeline('fixpoint{passes="cse"},dce')
    assert text_of(without(inner, "cse")) == "dce"


def test_what_someone_asked_for_is_not_undone() -> None:
    asked = 'specialize-dims{dims="n=2"},quantize-dynamic,shard-data{size=2}'
    group = 'fixpoint{passes="fuse-pads,dce"}'
    passes = parse_pipeline(f"{asked},fuse-gelu,cse,{group}")
    assert names_in(passes, may_be_undone) == ["fuse-gelu", "fuse-pads"]


def test_what_is_spared_round_trips() -> None:
    passes = parse_pipeline('fixpoint{passes="fuse-gelu{swiglu=true},dce"},cse')
    nodes = ["b", 'a "quoted"\nname']
    spec = text_of(sparing(passes, "fuse-gelu", nodes))
    (group, cse) = parse_pipeline(spec)
    assert text_of((group, cse)) == spec
    (inside, _) = parse_pipeline(group.passes)
    assert inside.nodes == ('a "quoted"\nname', "b")
    assert inside.passes == "fuse-gelu{swiglu=true}"


def test_o3_has_what_o2_has_and_more() -> None:
    names = {level: [p.name for p in passes_in(level)] for level in PIPELINES}
    more = [name for name in names["O3"] if name not in names["O2"]]
    assert more == list(SOMETIMES)
    assert [name for name in names["O3"] if name not in SOMETIMES] == names["O2"]


# --- with real clocks ---


def test_real_times_undo_a_slow_pass_and_the_spec_replays(
    sardonyx: Any, tmp_path: Path, plugin: Path, model_of: Any, value_info: Any
) -> None:
    path, out, again = (tmp_path / name for name in ("m.onnx", "out", "again"))
    # Without products: threads that wait for each other are slow on a busy machine.
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="relu1"),
        helper.make_node("Exp", ["a"], ["b"], name="exp"),
        helper.make_node("Relu", ["b"], ["y"], name="relu2"),
    ]
    shape = ["n", 64]
    proto = model_of(nodes, [value_info("x", shape)], [value_info("y", shape)])
    onnx.save(proto, path)
    given = ("compile", path, "-b", "numpy", "--plugin", plugin, "--dim", "n=1024")
    measured = ("--refuse-slower", "--refuse-budget", 6)
    said = sardonyx(*given, "-o", out, "-p", "slow-relu,dce", *measured)
    assert (said.code, said.err) == (0, "")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["pipeline"] == "dce", said.out
    (row,) = manifest["refused"]["passes"]
    assert (row["pass"], row["rewrites"], row["outcome"]) == ("slow-relu", 2, "undone")
    assert row["with_ms"] > 2 * row["without_ms"] > 0
    assert manifest["refused"]["inputs"] == [
        {"name": "x", "dtype": "float32", "shape": [1024, 64]}
    ]
    assert f"{row['with_ms']:.4g}" in said.out
    assert f"{row['without_ms']:.4g}" in said.out
    assert "the same without measuring: sardonyx compile" in said.out
    replayed = sardonyx(*given, "-o", again, "-p", manifest["pipeline"])
    assert replayed.code == 0
    assert (again / "model.py").read_text() == (out / "model.py").read_text()
    assert "refused" not in json.loads((again / "manifest.json").read_text())
    x = np.random.default_rng(1).standard_normal((1024, 64)).astype(np.float32)
    (wanted,) = ReferenceEvaluator(proto).run(None, {"x": x})
    (result,) = compile_model(path, "numpy", manifest["pipeline"])(x)
    np.testing.assert_allclose(result, wanted, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "measures"),
    [
        (("-O3",), True),
        (("-O3", "--no-refuse-slower"), False),
        (("-O2",), False),
        (("-O2", "--refuse-slower"), True),
        (("-O3", "-p", "O2"), False),
    ],
)
def test_when_compile_measures(
    options: tuple[str, ...], measures: bool, sardonyx: Any, mlp: Path
) -> None:
    out = mlp.parent / "out"
    budget = ("--refuse-budget", 0)
    said = sardonyx("compile", mlp, "-o", out, "-b", "numpy", *options, *budget)
    assert said.code == 0
    assert ("refused" in json.loads((out / "manifest.json").read_text())) is measures
    assert ("the same without measuring" in said.out) is measures


def test_opt_and_verify_measure_nothing(sardonyx: Any, mlp: Path) -> None:
    model = load(mlp)
    run_pipeline(model, "O3")
    assert sardonyx("opt", mlp, "-O3").code == 0
    said = sardonyx("verify", mlp, "-O3", "-b", "numpy", "--json")
    assert json.loads(said.out)["pipeline"] == choose(load(mlp), "numpy").spec
