"""``calibrate``, ``dataset``, ``tune`` and -O3: what is measured and what is chosen."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler import compile_model
from sardonyx.compiler.bench.comparison import Measured
from sardonyx.compiler.bench.protocol import Block, Timing
from sardonyx.compiler.cost import choose as choosing
from sardonyx.compiler.cost import tune as tuning
from sardonyx.compiler.cost.calibrate import calibrate, host_target, target_text
from sardonyx.compiler.cost.choose import choose
from sardonyx.compiler.cost.compressions import compressions
from sardonyx.compiler.cost.roofline import Prediction
from sardonyx.compiler.cost.search import space_of
from sardonyx.compiler.cost.tune import TuneError, tune
from sardonyx.compiler.driver import Executable, load
from sardonyx.compiler.inputs import input_specs
from sardonyx.compiler.pipelines import parse_pipeline, run_pipeline, spec_of
from sardonyx.compiler.quantize.budget import Judge
from sardonyx.compiler.quantize.data import read_batches
from sardonyx.passes.analysis.targets import TargetError, read_target


@pytest.fixture(name="net")
def net_fixture(tmp_path: Path) -> Path:
    """Two products of one input, which may be merged, and what follows them."""
    generator = np.random.default_rng(0)

    def weight(name: str, *shape: int) -> onnx.TensorProto:
        array = generator.standard_normal(shape).astype(np.float32)
        return numpy_helper.from_array(array, name)

    nodes = [
        helper.make_node("MatMul", ["x", "p"], ["a"], "a"),
        helper.make_node("MatMul", ["x", "q"], ["b"], "b"),
        helper.make_node("Relu", ["a"], ["r"], "r"),
        helper.make_node("Sigmoid", ["b"], ["s"], "s"),
        helper.make_node("Concat", ["r", "s"], ["y"], "y", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", 1, [16, 64])],
        [helper.make_tensor_value_info("y", 1, [16, 96])],
        [weight("p", 64, 48), weight("q", 64, 48)],
    )
    opset = helper.make_opsetid("", 21)
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


# --- calibrate ---


def test_a_calibration_is_a_target(tmp_path: Path) -> None:
    target = calibrate(probe_seconds=0.01)
    path = tmp_path / "host.toml"
    path.write_text(target_text(target))
    again = read_target(path)
    assert set(again.backends) == {"numpy", "jax"}
    assert again.backends["jax"].fuses
    assert not again.backends["numpy"].fuses
    for name, rates in again.backends.items():
        assert rates.flops == pytest.approx(target.backends[name].flops, rel=1e-3)
        assert 1e8 < rates.flops < 1e14
        assert 1e7 < rates.bandwidth < 1e13
        assert 0 < rates.launch_seconds < 1e-3


def test_the_command_keeps_it_for_this_user(
    sardonyx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert host_target().name == "host-cpu"
    assert "wanted -o FILE" in sardonyx("calibrate").err
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    said = sardonyx("calibrate", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["path"] == str(tmp_path / "targets" / "host.toml")
    assert host_target().name == "host"
    assert set(found["backends"]) == {"numpy", "jax"}
    assert sorted(tmp_path.rglob("*.toml")) == [Path(found["path"])]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("flops = -1.0", "found -1.0, wanted a finite number"),
        ('fuses = "yes"', "wanted a bool"),
        ("speed = 1.0", "found 'speed'"),
    ],
)
def test_rates_that_are_none(tmp_path: Path, line: str, said: str) -> None:
    text = target_text(read_target("host-cpu"))
    path = tmp_path / "x.toml"
    names = ("flops", "bandwidth", "cache_bandwidth", "cache_bytes", "transcendentals")
    rates = {name: "1.0" for name in (*names, "launch_seconds", "call_seconds")}
    name, _, value = line.partition(" = ")
    rows = [f"{n} = {v}" for n, v in {**rates, name: value}.items()]
    path.write_text("\n".join([text, "[backends.other]", *rows]))
    with pytest.raises(TargetError, match=said):
        read_target(path)


# --- dataset ---


def test_the_command_adds_to_a_file(sardonyx: Any, net: Path, tmp_path: Path) -> None:
    out = tmp_path / "data.jsonl"
    options = ("-b", "numpy", "--most", 2, "--seconds", 0.02, "-o", out)
    said = sardonyx("dataset", net, *options)
    assert said.code == 0, said.err
    lines = out.read_text().splitlines()
    assert f"measured {len(lines)} programs" in said.out
    assert {json.loads(line)["family"] for line in lines} == {"net"}
    assert "measured 0 programs" in sardonyx("dataset", net, *options).out
    assert out.read_text().splitlines() == lines


# --- -O3 ---


def seconds_by(word: str, without: float, reason: str = "") -> Any:
    """A predictor: 1 for pipelines with `word`, else `without`."""

    def predict(program: Executable) -> Prediction:
        value = 1.0 if word in program.pipeline else without
        return Prediction(value, value, value, value, reason)

    return lambda backend: predict


@pytest.mark.parametrize(
    ("without", "reason", "merges"),
    [(2.0, "", True), (0.5, "", False), (1.01, "", False), (2.0, "unlike", False)],
)
def test_o3_is_what_the_model_says(
    net: Path,
    monkeypatch: pytest.MonkeyPatch,
    without: float,
    reason: str,
    merges: bool,
) -> None:
    predictor = seconds_by("merge-products", without, reason)
    monkeypatch.setattr(choosing, "predictor", predictor)
    found = choose(load(net), "numpy")
    assert ("merge-products" in found.spec) is merges
    assert found.considered[0].told == "as -O2"
    assert compile_model(net, "numpy", "O3").pipeline == found.spec


def test_where_there_is_nothing_to_choose_o3_is_o2(mlp: Path) -> None:
    found = choose(load(mlp), "numpy")
    assert found.considered == ()
    assert found.spec == spec_of("O2", "numpy")


def test_o3_is_chosen_alike_each_time(net: Path) -> None:
    assert choose(load(net), "jax") == choose(load(net), "jax")


# --- tune ---


def test_a_model_is_tuned_and_replayed(
    sardonyx: Any, net: Path, tmp_path: Path
) -> None:
    file = tmp_path / "best.txt"
    options = ("-b", "numpy", "--budget", "4s", "-o", file, "--json")
    said = sardonyx("tune", net, *options)
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["trials"][0]["differs"] == "as -O2"
    assert found["trials"][0]["ratio"] == [1, 1, 1]
    assert found["predicted"] >= len(found["trials"]) >= 2
    assert all(trial["measured_ms"] > 0 for trial in found["trials"])
    assert found["pipeline"] == found["trials"][found["chosen"]]["pipeline"]
    assert parse_pipeline(file.read_text().strip()) == parse_pipeline(found["pipeline"])
    out = tmp_path / "out"
    said = sardonyx("compile", net, "-o", out, "-b", "numpy", "-p", f"@{file}")
    assert said.code == 0, said.err
    assert json.loads((out / "manifest.json").read_text())["pipeline"]


def timing(seconds: float, failure: str | None = None) -> Measured:
    blocks = [Block(n, (seconds * (1 + n / 1000),) * 4) for n in range(8)]
    return Measured(Timing("x", None, None, blocks, failure), None, None)


@pytest.mark.parametrize(
    ("others", "again", "chosen"),
    [
        ((0.9, 0.8), 0.8, 2),
        ((1.0, 0.999), 0.999, 0),
        ((1.3, None), None, 0),
        ((None, 0.5), 0.5, 2),
        # The fastest was so by luck.
        ((0.9, 0.8), 1.01, 0),
        # It ran once, and not again.
        ((0.9, 0.8), None, 0),
    ],
)
def test_what_is_not_faster_is_not_taken(
    net: Path,
    monkeypatch: pytest.MonkeyPatch,
    others: tuple[float | None, ...],
    again: float | None,
    chosen: int,
) -> None:
    times, asked = [1.0, *others], list[int]()

    def measured(programs: Any, *more: Any) -> Any:
        asked.append(len(programs))
        told = times[: len(programs)] if len(asked) == 1 else [1.0, again]
        return [timing(1.0, "it broke") if one is None else timing(one) for one in told]

    monkeypatch.setattr(tuning, "FINALISTS", 2)
    monkeypatch.setattr(tuning, "UNJUDGED", 0)
    monkeypatch.setattr(tuning, "_measured", measured)
    monkeypatch.setattr(tuning, "predictor", lambda *given: lambda program: good)
    good = Prediction(1.0, 1.0, 1.0, 1.0)
    found = tune(net, "numpy", budget_seconds=2)
    assert found.chosen == chosen
    assert found.spec == found.trials[chosen].spec
    fast = any(one is not None and one < 1 for one in others)
    assert asked == ([3, 2] if fast else [3])
    told = [trial.again for trial in found.trials if trial.again]
    assert [one[0] for one in told] == ([again] if fast and again else [])


def test_a_model_that_cannot_run_is_one_line(
    net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> list[Measured]:
        return [timing(1.0, "it broke")] * 5

    monkeypatch.setattr(tuning, "measure", broken)
    with pytest.raises(TuneError, match="-O2 cannot run: it broke"):
        tune(net, "numpy", budget_seconds=0.1)


# --- compressions ---


@pytest.fixture(name="rows")
def rows_fixture(tmp_path: Path) -> Path:
    path = tmp_path / "rows.npz"
    generator = np.random.default_rng(1)
    np.savez(path, x=generator.standard_normal((32, 64)).astype(np.float32))
    return path


def within(net: Path, rows: Path, max_drop: float) -> tuple[str, ...]:
    model = load(net)
    run_pipeline(model, "O2")
    batches = read_batches(rows, input_specs(model), [])
    judge = Judge.of(model, batches, "error")
    unit = compressions(model, "numpy", judge, max_drop)
    space = space_of(load(net), "numpy", more=[unit])
    for place in range(1, len(unit.labels)):
        # Each alternative is a pipeline that the model compiles by.
        made = space.build((place, *(0 for _ in space.units[1:])))
        assert made.spec != space.spec((0,) * len(space.units))
    return unit.labels


def test_compressions_keep_the_budget(net: Path, rows: Path) -> None:
    assert within(net, rows, 0.0) == ("",)
    some = within(net, rows, 3.0)
    assert any(label.startswith("w8a8-dynamic") for label in some)
    assert not any("group-shared" in label for label in some)
    everything = within(net, rows, 200.0)
    assert any(
        label.startswith("75% group-shared by magnitude") for label in everything
    )


def test_the_command_compresses_within_a_drop(
    sardonyx: Any, net: Path, rows: Path, tmp_path: Path
) -> None:
    options = ("-b", "numpy", "--budget", "3s", "--json")
    said = sardonyx("tune", net, *options, "--max-drop", 3)
    assert "wanted --evaluate FILE" in said.err
    data = ("--evaluate", rows, "--calibrate", rows, "-o", tmp_path / "best.txt")
    said = sardonyx("tune", net, *options, "--max-drop", 3, *data)
    assert said.code == 0, said.err
    told = [trial["differs"] for trial in json.loads(said.out)["trials"]]
    assert any("w8a8" in one or "w4a16" in one for one in told)
