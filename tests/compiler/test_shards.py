"""What --shard, --mesh and --devices say, and what is shown of a divided model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler.debug.report import Peaks, build_report
from sardonyx.compiler.debug.report.page import page
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.pipelines import parse_pipeline
from sardonyx.compiler.sharding import Shards, parse_shards, sharded
from sardonyx.dialects.errors import SardonyxError
from sardonyx.passes.sharding.shard_values import ShardValuesPass
from sardonyx.passes.sharding.traffic import Collective, collectives, traffic


@pytest.mark.parametrize(
    ("entries", "devices", "mesh", "wanted"),
    [
        (["data=2"], None, None, Shards((("data", 2),))),
        (["tensor", "data=2"], 8, None, Shards((("tensor", 4), ("data", 2)), given=8)),
        (
            ['ids=[{"x"},{}]'],
            None,
            "x=2,y=2",
            Shards(mesh="x=2,y=2", values=("ids=x,_",)),
        ),
        (
            ["a=b=[{x, y}, {}]", "scalar=[]", "data"],
            12,
            "x=2,y=3",
            Shards((("data", 2),), "x=2,y=3", ("a=b=x+y,_", "scalar="), given=12),
        ),
        (["model"], 4, None, Shards(noted=True, given=4)),
        (None, None, None, Shards()),
    ],
)
def test_what_is_said(entries: Any, devices: Any, mesh: Any, wanted: Shards) -> None:
    found = parse_shards(entries, devices, mesh)
    assert found == wanted
    assert bool(found) == bool(entries)
    if devices is not None:
        assert found.devices == devices


@pytest.mark.parametrize(
    ("entries", "devices", "mesh", "words"),
    [
        (["pipe=2"], None, None, "found 'pipe=2', wanted PLAN=N, PLAN one of data"),
        (["data=0"], None, None, "found 'data=0'"),
        (["data=2", "data=4"], None, None, "found 'data' twice"),
        (["data"], None, None, "found 'data', wanted data=N, or --devices"),
        (["data=2"], 3, None, "found 3, wanted what --shard takes, 2"),
        (["ids=[{x},y]"], None, "x=2", "found 'ids=.{x},y.', wanted NAME="),
        (["ids=[{x}]"], None, None, "wanted --mesh X=N and --shard"),
        (["data=2"], None, "x=2", "--mesh x=2: wanted --mesh X=N and --shard"),
        (["ids=[{x}]"], None, "x=0", "--mesh: found 'x=0', wanted NAME=N"),
        (["ids=[{x}]"], 3, "x=2", "--devices: found 3, wanted what --shard takes, 2"),
        (["model", "data=2"], None, None, "found other --shard, wanted it alone"),
    ],
)
def test_what_is_refused(entries: Any, devices: Any, mesh: Any, words: str) -> None:
    with pytest.raises(SardonyxError, match=words):
        parse_shards(entries, devices, mesh)


def test_the_annotations_are_a_pass_that_replays() -> None:
    shards = parse_shards(['a, "b"=[{x},{}]', "c=[{},{y}]"], None, "x=2,y=2")
    passes = parse_pipeline(sharded("cse", shards))
    (found,) = (one for one in passes if isinstance(one, ShardValuesPass))
    assert found.values == ('a, "b"=x,_', "c=_,y")
    assert sharded("O1", Shards()) == "O1"


def test_traffic_is_summed_by_kind_devices_and_size() -> None:
    found = [
        Collective("all_gather", 4, 400, ()),
        Collective("all_reduce", 2, 100, ("a",)),
        Collective("all_reduce", 2, 100, ("b",)),
    ]
    rows = [(t.kind, t.devices, t.bytes, t.count, t.sent) for t in traffic(found)]
    # On a ring: 3/4 of what is gathered; 2/2 of each sum.
    assert rows == [("all_gather", 4, 400, 1, 300), ("all_reduce", 2, 100, 2, 200)]


@pytest.fixture(name="twice")
def twice_fixture(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> Path:
    """``relu(x @ w) @ v``."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "up"),
        helper.make_node("Relu", ["h"], ["r"], "bend"),
        helper.make_node("MatMul", ["r", "v"], ["y"], "down"),
    ]
    shapes = {"w": (16, 32), "v": (32, 4)}
    weights = [
        tensor_proto(name, rng.standard_normal(shape, np.float32))
        for name, shape in shapes.items()
    ]
    inputs, outputs = [value_info("x", [8, 16])], [value_info("y", [8, 4])]
    onnx.save(model_of(nodes, inputs, outputs, weights), tmp_path / "twice.onnx")
    return tmp_path / "twice.onnx"


@pytest.fixture(name="divided")
def divided_fixture() -> str:
    return sharded("O2", parse_shards(["tensor=2"], None))


def test_the_report_shows_them(twice: Path, divided: str) -> None:
    peaks = Peaks(1e11, 1e10, "said")
    content = build_report(twice, divided, peaks=peaks)
    model = compile_model(twice, "numpy", divided).model
    wanted = [(c.kind, c.devices, c.bytes) for c in collectives(model.module)]
    shown = [
        (row["kind"], row["devices"], row["bytes"])
        for row in content["traffic"]
        for _ in range(row["count"])
    ]
    assert sorted(shown) == sorted(wanted) != []
    assert 'data-tab="traffic"' in page(content)
    whole = build_report(twice, "O2", peaks=peaks)
    assert whole["traffic"] == []
    assert 'data-tab="traffic"' not in page(whole)


def test_compile_prints_them(sardonyx: Any, twice: Path, tmp_path: Path) -> None:
    words = ["compile", twice, "-b", "numpy", "-o", tmp_path / "a"]
    done = sardonyx(*words, "--shard", "tensor=2")
    assert done.code == 0
    assert "all_reduce" in done.out
    assert "collectives; each device sends" in done.out
    assert "collectives" not in sardonyx(*words).out


def test_view_shows_them(sardonyx: Any, twice: Path, tmp_path: Path) -> None:
    goal = tmp_path / "page.html"
    rates = ["--peak-gflops", 1, "--bandwidth", 1]
    done = sardonyx("view", twice, "-o", goal, *rates, "--shard", "tensor=2")
    assert done.code == 0, done.err
    assert 'data-tab="traffic"' in goal.read_text()
    folder = ["--artifact", tmp_path, "--shard", "tensor=2"]
    (tmp_path / "manifest.json").write_text('{"pipeline": "O1", "backend": "numpy"}')
    done = sardonyx("view", twice, "-o", goal, *rates, *folder)
    assert done.code == 2


def test_verify_runs_divided_programs(sardonyx: Any, twice: Path) -> None:
    words = ["verify", twice, "-b", "numpy", "--json"]
    done = sardonyx(*words, "--shard", "tensor", "--devices", 2)
    assert done.code == 0
    found = json.loads(done.out)
    assert found["ok"]
    assert "shard-tensor{size=2}" in found["pipeline"]
    # No pass comes before those that divide.
    done = sardonyx(*words, "-O0", "--shard", "tensor=2")
    assert done.code == 0, done.err
    # A level among the passes that divide lowers nothing.
    spec = "O2,shard-tensor{size=2},propagate-shardings,partition,dce"
    done = sardonyx(*words, "-p", spec)
    assert done.code == 0, done.err
    assert json.loads(done.out)["ok"]
    name = onnx.load(twice).graph.input[0].name
    done = sardonyx(*words, "--mesh", "x=2", "--shard", f"{name}=[{{}},{{x}}]")
    assert done.code == 0
    assert f"{name}=_,x" in json.loads(done.out)["pipeline"]
    for wrong, words_of in (
        (["--per-op", "--shard", "tensor=2"], "--per-op: found --shard"),
        (["--shard", "model"], "found no mesh"),
        (["--mesh", "x=2", "--shard", "nobody=[{x}]"], "found value 'nobody'"),
        (["--mesh", "x=2", "--shard", f"{name}=[{{z}},{{}}]"], f"input '{name}': fou"),
    ):
        done = sardonyx(*words, *wrong)
        assert done.code == 2
        assert words_of in done.err


def test_what_the_file_says_is_run(sardonyx: Any, twice: Path, tmp_path: Path) -> None:
    noted, again = tmp_path / "noted.onnx", tmp_path / "out"
    plan = "shard-tensor{size=2},propagate-shardings"
    assert sardonyx("opt", twice, "-p", plan, "-o", noted).code == 0
    assert onnx.load(noted).configuration[0].num_devices == 2
    done = sardonyx("run", noted, "-b", "numpy", "--shard", "model", "-o", again)
    assert done.code == 0
    done = sardonyx("run", twice, "-b", "numpy", "-o", tmp_path / "plain")
    (found,), (wanted,) = ([*f.glob("*.npy")] for f in (again, tmp_path / "plain"))
    np.testing.assert_allclose(np.load(found), np.load(wanted), rtol=1e-5, atol=1e-6)
