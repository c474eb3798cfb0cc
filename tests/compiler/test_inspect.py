"""``sardonyx inspect``: rows, totals, JSON and what the terminal shows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler.commands.inspect import amount_text, scaled
from sardonyx.compiler.driver import load
from sardonyx.compiler.inspect import AMOUNTS, inspect_model
from sardonyx.compiler.model import Model
from sardonyx.dialects.onnx import Dim
from sardonyx.dialects.onnx.store import MappedWeight

BERT = Path(__file__).parents[3] / "shared" / "models" / "bert_tiny_dynamic.onnx"


def inspected(sardonyx: Any, *arguments: Any) -> dict[str, Any]:
    said = sardonyx("inspect", *arguments, "--json")
    assert (said.code, said.err) == (0, "")
    return json.loads(said.out)


def rows(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["op"]: row for row in found["operators"]}


def test_rows_and_totals(sardonyx: Any, mlp: Path) -> None:
    found = inspected(sardonyx, mlp, "--dim", "batch=3")
    first, second = 2 * 3 * 8 * 6, 2 * 3 * 6 * 4
    assert rows(found)["MatMul"] == {
        "op": "MatMul",
        "count": 2,
        "parameters": 48 + 24,
        "flops": first + second,
        "transcendentals": 0,
        "bytes_read": 4 * (3 * 8 + 48 + 3 * 6 + 24),
        "bytes_written": 4 * (3 * 6 + 3 * 4),
        "unknown": {},
    }
    assert found["operators"][0]["op"] == "MatMul"
    total = found["total"]
    assert (total["count"], total["parameters"]) == (5, 48 + 6 + 24)
    assert total["weight_bytes"] == 4 * (48 + 6 + 24)
    softmax = 4 * 12 - 2 * 3
    assert total["flops"] == first + second + 18 + 18 + softmax
    assert total["transcendentals"] == 12
    assert found["heaviest"][0]["node"] == "first"
    assert found["heaviest"][0]["output"] == {
        "name": "xw",
        "dtype": "float32",
        "shape": [3, 6],
    }


def test_what_the_model_is(sardonyx: Any, mlp: Path) -> None:
    found = inspected(sardonyx, mlp)
    assert (found["name"], found["opset"]) == ("mlp", {"": 21})
    assert found["ir_opset"] == onnx.defs.onnx_opset_version()
    assert found["dims"] == ["batch"]
    assert found["inputs"] == [{"name": "x", "dtype": "float32", "shape": ["batch", 8]}]
    assert [value["name"] for value in found["outputs"]] == ["y", "hidden"]


def fill(amount: Any, sizes: dict[str, int]) -> Any:
    """A JSON amount with its symbols' sizes put in."""
    if isinstance(amount, str):
        return Dim.parse(amount).substitute(sizes).constant
    return amount


def check_symbolic(model: Model, dims: dict[str, int]) -> None:
    symbolic = inspect_model(model).as_json()
    fixed = inspect_model(model, dims=dims).as_json()
    assert symbolic["dims"] == sorted(dims)
    assert fixed["dims"] == []
    pairs = [(symbolic["total"], fixed["total"])]
    mine, theirs = rows(symbolic), rows(fixed)
    assert mine.keys() == theirs.keys()
    pairs += [(mine[name], theirs[name]) for name in mine]
    for one, other in pairs:
        assert {k: fill(v, dims) for k, v in one.items() if k != "op"} == {
            k: v for k, v in other.items() if k != "op"
        }
    assert any(isinstance(symbolic["total"][name], str) for name in AMOUNTS)
    peaks = symbolic["activation_peak"], fixed["activation_peak"]
    assert fill(peaks[0]["bytes"], dims) == peaks[1]["bytes"]
    assert peaks[0]["complete"]
    assert len(peaks[1]["candidates"]) == 1


def test_polynomials_are_what_fixed_sizes_give(mlp: Path) -> None:
    check_symbolic(load(mlp), {"batch": 5})


if BERT.exists():

    def test_polynomials_of_a_transformer() -> None:
        model = load(BERT)
        for batch, seq in ((1, 1), (3, 7), (2, 512)):
            check_symbolic(model, {"batch": batch, "seq": seq})


def test_passes_run_first(sardonyx: Any, mlp: Path) -> None:
    before = inspected(sardonyx, mlp)
    spec = 'specialize-dims{dims="batch=2"},cse'
    after = inspected(sardonyx, mlp, "-p", spec)
    assert (before["pipeline"], after["pipeline"]) == ("", spec)
    assert after["dims"] == []
    assert "fold-batch-norm" in inspected(sardonyx, mlp, "-O", "2")["pipeline"]


def test_text_that_opt_wrote(sardonyx: Any, mlp: Path) -> None:
    sardonyx("opt", mlp, "-o", mlp.with_suffix(".mlir"))
    found = inspected(sardonyx, mlp.with_suffix(".mlir"))
    wanted = inspected(sardonyx, mlp)
    assert (found.pop("opset"), wanted.pop("opset")) == ({}, {"": 21})
    assert found == wanted


def test_no_weight_is_read(mlp_proto: Any, tmp_path: Path, monkeypatch: Any) -> None:
    onnx.save(mlp_proto, tmp_path / "m.onnx")
    model = load(tmp_path / "m.onnx")

    def refuse(weight: Any) -> Any:
        raise AssertionError(f"{weight.shape} was read")

    monkeypatch.setattr(MappedWeight, "array", refuse)
    monkeypatch.setattr(MappedWeight, "raw", refuse)
    assert inspect_model(model).total.parameters == 78


def test_what_is_not_known_is_said(
    sardonyx: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["a"], name="known"),
        helper.make_node("RandomNormalLike", ["a"], ["b"], name="drawn"),
        helper.make_node("NonZero", ["b"], ["c"], name="counted"),
        helper.make_node("Neg", ["c"], ["d"], name="open"),
    ]
    outputs = [value_info("d", [2, None], "INT64")]
    model = model_of(nodes, [value_info("x", [2, 3])], outputs)
    onnx.save(model, tmp_path / "m.onnx")
    found = inspected(sardonyx, tmp_path / "m.onnx")
    neg = rows(found)["Neg"]
    assert (neg["flops"], neg["unknown"]["flops"]) == (6, 1)
    assert found["total"]["unknown"]["flops"] == 2
    nodes_found = {node["node"]: node["flops"] for node in found["heaviest"]}
    assert nodes_found == {"known": 6, "drawn": None, "counted": 6, "open": None}
    assert found["activation_peak"]["values_of_unknown_size"] == 2
    said = sardonyx("inspect", tmp_path / "m.onnx").out
    assert ">= 12" in said
    assert "activation peak: at least 48 B" in said
    assert "2 values of unknown size are left out" in said
    random = next(line for line in said.splitlines() if "RandomNormalLike" in line)
    assert "?" in random


def test_what_the_terminal_shows(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("inspect", mlp)
    assert said.code == 0
    for text in (
        "mlp (opset onnx 21;",
        "input  x: float32[batch, 8]",
        "144*batch",
        "at batch=64",
        "while first (MatMul) runs",
    ):
        assert text in said.out, said.out
    fixed = sardonyx("inspect", mlp, "--dim", "batch=1000").out
    assert "144 k" in fixed
    assert "batch" not in fixed


def test_ops_in_regions_are_counted_with_the_op_around_them(
    sardonyx: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Exp", ["x"], [name])
        return helper.make_graph([node], name, [], [value_info(name, [4])])

    bodies = {"then_branch": branch("a"), "else_branch": branch("b")}
    node = helper.make_node("If", ["c"], ["y"], **bodies)
    inputs = [value_info("c", [], "BOOL"), value_info("x", [4])]
    onnx.save(model_of([node], inputs, [value_info("y", [4])]), tmp_path / "m.onnx")
    found = inspected(sardonyx, tmp_path / "m.onnx")
    assert found["ops_in_regions"] == 2
    assert list(rows(found)) == ["If"]
    assert found["total"]["transcendentals"] == 4


def test_names_are_data(
    sardonyx: Any, tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    name = "[red]a\x1b[0m"
    nodes = [helper.make_node("Neg", ["x"], ["y"], name=name)]
    infos = [[value_info(n, ["[b]"])] for n in "xy"]
    onnx.save(model_of(nodes, *infos), tmp_path / "m.onnx")
    said = sardonyx("inspect", tmp_path / "m.onnx").out
    assert r"[red]a\x1b[0m" in said
    assert "[b]" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dim", "rows=2"], "found dimension 'rows', wanted batch"),
        (["--dim", "batch"], "wanted NAME=N"),
        (["-p", "no-such-pass"], "found pass 'no-such-pass'"),
    ],
)
def test_refusals(sardonyx: Any, mlp: Path, arguments: list[str], words: str) -> None:
    said = sardonyx("inspect", mlp, *arguments)
    assert said.code == 2
    assert words in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (7, "7"),
        (999, "999"),
        (1000, "1 k"),
        (999_949, "1 M"),
        (-2500, "-2.5 k"),
    ],
)
def test_numbers_in_human_units(number: int, text: str) -> None:
    assert scaled(number) == text


SHOWN: dict[str, tuple[str, str]] = {
    "2000*n*n - 3*n": ("", "2 k*n^2 - 3*n"),
    "n + 4": ("", "n + 4"),
    "4*n + 8*m + 12": ("B", "8 B*m + 4 B*n + 1 more"),
    "1500000": ("B", "1.5 MB"),
}


@pytest.mark.parametrize("text", SHOWN)
def test_amounts_in_human_units(text: str) -> None:
    unit, wanted = SHOWN[text]
    assert amount_text(Dim.parse(text), {"n": 64, "m": 64}, unit) == wanted
    assert amount_text(None, {}) == "?"


def test_the_command_is_listed(sardonyx: Any) -> None:
    assert "inspect" in sardonyx("--help").out
    said = sardonyx("inspect", "--help")
    assert said.code == 0
    assert "sardonyx inspect" in said.out


def test_a_shared_weight_counts_once_in_a_row_and_in_the_total(
    sardonyx: Any, tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    nodes = [
        helper.make_node("Mul", ["x", "w"], ["a"]),
        helper.make_node("Mul", ["a", "w"], ["b"]),
        helper.make_node("Add", ["b", "w"], ["y"]),
    ]
    weight = tensor_proto("w", np.ones(20, np.float32))
    infos = [[value_info(name, [20])] for name in "xy"]
    onnx.save(model_of(nodes, *infos, [weight]), tmp_path / "m.onnx")
    found = inspected(sardonyx, tmp_path / "m.onnx")
    counts = {name: row["parameters"] for name, row in rows(found).items()}
    assert counts == {"Mul": 20, "Add": 20}
    assert found["total"]["parameters"] == 20
    assert found["total"]["weight_bytes"] == 80
