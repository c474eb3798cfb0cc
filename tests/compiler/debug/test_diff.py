"""``sardonyx diff``: what differs between two models, and nothing else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.debug.diff import Difference, diff
from sardonyx.compiler.debug.diff_page import page
from sardonyx.compiler.debug.matching import Matching, sides
from sardonyx.compiler.driver import load
from sardonyx.compiler.exporter import export_model
from sardonyx.dialects.onnx import Dim

Edit = Callable[[onnx.ModelProto], object]


def edited(path: Path, edit: Edit, name: str = "edited.onnx") -> Path:
    proto = onnx.load(path)
    edit(proto)
    onnx.save(proto, path.with_name(name))
    return path.with_name(name)


def node(proto: onnx.ModelProto, name: str) -> onnx.NodeProto:
    return next(n for n in proto.graph.node if n.name == name)


def lists(found: Difference) -> dict[str, int]:
    names = ("interface", "removed", "added", "changed", "moved", "renamed")
    return {n: len(getattr(found, n)) for n in names if getattr(found, n)}


def delta(found: Difference, name: str) -> Any:
    (one,) = [d for d in found.deltas if d.name == name]
    return one.difference


# --- the same ---


def test_a_model_is_itself(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("diff", mlp)
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[-1] == "same"
    assert "output y: max abs 0, max rel 0" in said.out


def test_a_copy_elsewhere_is_the_same(mlp: Path, tmp_path: Path) -> None:
    copy = tmp_path / "other.onnx"
    copy.write_bytes(mlp.read_bytes())
    found = diff(mlp, copy)
    assert found.same
    assert lists(found) == {}
    assert all(one.difference == Dim(()) for one in found.deltas)


@pytest.mark.parametrize("level", ["", "O2"])
def test_what_is_exported_or_written_is_the_same(
    sardonyx: Any, mlp: Path, level: str, tmp_path: Path
) -> None:
    back, text = tmp_path / "back.onnx", tmp_path / "ir.mlir"
    for goal in (back, text):
        assert sardonyx("opt", mlp, "-p", level or "O0", "-o", goal).code == 0
        assert sardonyx("diff", mlp, goal, "--a-passes", level).code == 0
    export_model(load(text), back)
    assert diff(mlp, back, level).same


def rename(proto: onnx.ModelProto) -> None:
    """Give every node and every inner tensor another name."""
    kept = {v.name for v in [*proto.graph.input, *proto.graph.output]}
    for one in proto.graph.node:
        one.name = f"other_{one.name}"
        for names in (one.input, one.output):
            names[:] = [n if n in kept else f"t_{n}" for n in names]
    for weight in proto.graph.initializer:
        weight.name = f"t_{weight.name}"


def test_other_names_are_no_difference(sardonyx: Any, mlp: Path) -> None:
    other = edited(mlp, rename)
    found = diff(mlp, other)
    assert found.same
    assert lists(found) == {"renamed": 5}
    assert {pair.before.op for pair in found.renamed} == {
        "MatMul",
        "Add",
        "Relu",
        "Softmax",
    }
    assert "renamed 5 ops (no difference)" in sardonyx("diff", mlp, other).out


# --- each kind of difference ---


def test_a_weight(mlp: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        (weight,) = [w for w in proto.graph.initializer if w.name == "v"]
        array = numpy_helper.to_array(weight).copy()
        array[2, 1] += 0.5
        weight.CopyFrom(numpy_helper.from_array(array, "v"))

    found = diff(mlp, edited(mlp, change))
    assert lists(found) == {"changed": 1}
    (pair,) = found.changed
    assert pair.after.nodes == ("second",)
    (change_,) = pair.changes
    assert change_.what == "operand B"
    assert change_.before == "weight 'v' float32[6, 4]"
    assert change_.after.startswith("weight 'v' float32[6, 4] (off by 0.5, ")
    (error,) = [e for e in found.errors if e.name == "y"]
    assert error.relative > 0
    assert all(one.difference == Dim(()) for one in found.deltas)


def test_an_attribute(sardonyx: Any, mlp: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        node(proto, "soft").attribute.append(helper.make_attribute("axis", 0))

    other = edited(mlp, change)
    found = diff(mlp, other)
    assert lists(found) == {"changed": 1}
    (one,) = found.changed[0].changes
    assert (one.what, one.before, one.after) == ("attribute axis", "absent", "0 : i64")
    said = sardonyx("diff", mlp, other)
    assert said.code == 1
    assert "changed 1 op\n  node 'soft' (Softmax)\n    attribute axis: absent" in (
        said.out
    )


def test_a_default_that_is_written_is_no_difference(mlp: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        node(proto, "soft").attribute.append(helper.make_attribute("axis", -1))

    assert diff(mlp, edited(mlp, change), run=False).same


def test_swapped_operands(pair: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        node(proto, "less").input[:] = ["b2", "a"]

    found = diff(pair, edited(pair, change))
    assert lists(found) == {"changed": 1}
    changes = [(c.what, c.before, c.after) for c in found.changed[0].changes]
    assert changes == [("operand A", "a", "b2"), ("operand B", "b2", "a")]
    errors = {e.name: e.relative for e in found.errors}
    assert errors["s"] == 0
    assert errors["d"] > 0.1


def test_an_op_that_is_put_between(mlp: Path) -> None:
    """What comes after is as it was: its operand is another, and no more."""

    def change(proto: onnx.ModelProto) -> None:
        node(proto, "second").input[0] = "absolute"
        new = helper.make_node("Abs", ["hidden"], ["absolute"], name="between")
        proto.graph.node.insert(3, new)

    other = edited(mlp, change)
    found = diff(mlp, other)
    assert lists(found) == {"added": 1, "changed": 1}
    assert found.added[0].nodes == ("between",)
    assert found.changed[0].after.nodes == ("second",)
    assert delta(found, "ops") == Dim.of(1)
    assert str(delta(found, "FLOPs")) == "6*batch"
    back = diff(other, mlp)
    assert lists(back) == {"removed": 1, "changed": 1}
    assert delta(back, "ops") == Dim.of(-1)


def test_a_change_up_front_does_not_hide_who_is_who_without_names(mlp: Path) -> None:
    """No names are left and no cone is equal: the operands tell."""

    def change(proto: onnx.ModelProto) -> None:
        rename(proto)
        node(proto, "other_first").input[0] = "t_small"
        new = helper.make_node("Abs", ["x"], ["t_small"], name="new")
        proto.graph.node.insert(0, new)

    found = diff(mlp, edited(mlp, change))
    assert lists(found) == {"added": 1, "changed": 1, "renamed": 4}
    assert found.added[0].op == "Abs"
    (one,) = found.changed
    assert (one.before.nodes, one.after.nodes) == (("first",), ("other_first",))
    assert [(c.what, c.before, c.after) for c in one.changes] == [
        ("operand A", "x", "t_small")
    ]


def test_an_op_that_moved(pair: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        more = proto.graph.node.pop(2)
        proto.graph.node.insert(0, more)

    found = diff(pair, edited(pair, change))
    assert lists(found) == {"moved": 1}
    assert found.moved[0].after.nodes == ("more",)
    assert not found.same
    assert all(error.relative == 0 for error in found.errors)


def test_the_interface(pair: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        proto.graph.output[0].name = "e"
        node(proto, "less").output[0] = "e"
        proto.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 1

    found = diff(pair, edited(pair, change))
    texts = [(c.what, c.before, c.after) for c in found.interface]
    assert texts == [
        ("input 1", "b: float32[n, 3]", "b: float32[n, 1]"),
        ("output 0", "d: float32[n, 3]", "e: float32[n, 3]"),
    ]
    assert not found.same


def test_outputs_that_change_places(pair: Path) -> None:
    def change(proto: onnx.ModelProto) -> None:
        node(proto, "less").output[0] = "s"
        node(proto, "more").output[0] = "d"

    found = diff(pair, edited(pair, change))
    assert {c.what for c in found.interface} == {
        "value of output d",
        "value of output s",
    }
    assert all(error.relative > 0.1 for error in found.errors)


def test_bodies(tmp_path: Path, model_of: Any, value_info: Any) -> None:
    def write(name: str, op: str, order: str) -> Path:
        def body(kind: str) -> onnx.GraphProto:
            made = helper.make_node(kind, ["x"], [f"{kind}_out"], name=f"in_{kind}")
            out = value_info(f"{kind}_out", [2])
            return helper.make_graph([made], kind, [], [out])

        nodes = [
            helper.make_node(
                "If",
                ["c"],
                ["y"],
                name="choose",
                then_branch=body(order),
                else_branch=body(op),
            )
        ]
        inputs = [value_info("c", [], "BOOL"), value_info("x", [2])]
        path = tmp_path / name
        onnx.save(model_of(nodes, inputs, [value_info("y", [2])]), path)
        return path

    first = write("a.onnx", "Abs", "Neg")
    assert diff(first, write("same.onnx", "Abs", "Neg")).same
    found = diff(first, write("b.onnx", "Relu", "Neg"))
    assert lists(found) == {"removed": 1, "added": 1, "changed": 1}
    assert found.removed[0].nodes == ("in_Abs",)
    assert found.changed[0].after.nodes == ("choose",)
    assert found.changed[0].changes[0].what == "result 0 of body 0"
    swapped = diff(first, write("c.onnx", "Neg", "Abs"))
    assert lists(swapped)["moved"] == 2


# --- passes ---


def test_before_and_after_a_fusion(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    parameters = ["s", "o", "m", "v"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="conv"),
        helper.make_node("BatchNormalization", ["c", *parameters], ["n"], name="bn"),
        helper.make_node("Relu", ["n"], ["y"], name="gate"),
    ]
    rng = np.random.default_rng(0)
    weights = [tensor_proto("w", rng.standard_normal((5, 3, 3, 3)).astype(np.float32))]
    weights += [
        tensor_proto(n, rng.uniform(0.5, 1, 5).astype(np.float32)) for n in parameters
    ]
    path = tmp_path / "m.onnx"
    inputs = [value_info("x", [1, 3, 6, 6])]
    proto = model_of(nodes, inputs, [value_info("y", [1, 5, 4, 4])], weights)
    onnx.save(proto, path)
    found = diff(path, path, "", "fold-batch-norm")
    assert lists(found) == {"removed": 1, "changed": 1}
    assert found.removed[0].nodes == ("bn",)
    (one,) = found.changed
    assert (one.before.nodes, one.after.nodes) == (("conv",), ("conv", "bn"))
    assert [c.what for c in one.changes] == ["operand W", "operand B"]
    assert found.errors[0].relative < 1e-5
    # Weight by weight a multiplication and an addition less, and a bias for it.
    assert delta(found, "ops") == Dim.of(-1)
    assert delta(found, "parameters") == Dim.of(5 - 4 * 5)


def test_repeated_layers_find_their_own_weights(
    tmp_path: Path, model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    """Three products of one operand differ in nothing but what their weights hold."""

    def write(name: str, order: list[int]) -> Path:
        nodes = [
            helper.make_node("MatMul", ["x", f"w{n}"], [f"y{n}"]) for n in order
        ] + [helper.make_node("Sum", ["y0", "y1", "y2"], ["y"])]
        weights = [
            tensor_proto(f"w{n}", np.full((5, 5), n + 1, np.float32)) for n in order
        ]
        inputs, outputs = [value_info("x", [2, 5])], [value_info("y", [2, 5])]
        onnx.save(model_of(nodes, inputs, outputs, weights), tmp_path / name)
        return tmp_path / name

    a, b = write("a.onnx", [0, 1, 2]), edited(write("b.onnx", [2, 0, 1]), rename)
    found = diff(a, b)
    assert not found.changed
    assert not found.added
    assert lists(found)["moved"] == 1
    matching = Matching(*sides(load(a), load(b)))
    assert len(matching.pairs) == 4


# --- how it is told ---


def test_json(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("diff", mlp, "--b-passes", "expand-functions", "--json")
    assert json.loads(said.out)["same"] is True
    said = sardonyx(
        *("diff", mlp, "--a-passes", 'specialize-dims{dims="batch=2"}', "--json")
    )
    assert said.code == 1
    found = json.loads(said.out)
    assert found["a"] == f'{mlp} after specialize-dims{{dims="batch=2"}}'
    assert found["interface"][0] == {
        "what": "input 0",
        "before": "x: float32[2, 8]",
        "after": "x: float32[batch, 8]",
    }
    assert found["deltas"]["ops"] == {"unit": "", "a": 5, "b": 5, "difference": 0}
    assert found["deltas"]["FLOPs"]["difference"].startswith("1")
    assert (found["not_run"], len(found["errors"])) == ("", 2)


def test_dims_and_no_run(sardonyx: Any, mlp: Path) -> None:
    said = sardonyx("diff", mlp, "--dim", "batch=3", "--no-run", "--json")
    found = json.loads(said.out)
    assert found["deltas"]["FLOPs"]["a"] == found["deltas"]["FLOPs"]["b"] > 0
    assert (found["errors"], found["not_run"]) == ([], "not asked for")


def test_what_cannot_run_is_told(
    tmp_path: Path, model_of: Any, value_info: Any
) -> None:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"], name="bend")]
    inputs = [value_info("x", [6]), value_info("s", [2], "INT64")]
    path = tmp_path / "m.onnx"
    onnx.save(model_of(nodes, inputs, [value_info("y", None)]), path)
    found = diff(path, path)
    assert found.same
    assert "reshape" in found.not_run


def test_the_page_is_escaped_and_alone(sardonyx: Any, mlp: Path) -> None:
    evil = '<script>alert("x")</script>'

    def change(proto: onnx.ModelProto) -> None:
        node(proto, "gate").op_type = "Abs"
        node(proto, "gate").name = evil
        proto.graph.name = evil

    goal = mlp.with_name("page.html")
    said = sardonyx("diff", mlp, edited(mlp, change), "--html", goal)
    assert said.code == 1
    text = goal.read_text()
    assert "&lt;script&gt;alert" in text
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in text
    for word in ("Removed", "Added", "activation peak", "on random inputs"):
        assert word in text
    assert page(diff(mlp, mlp, run=False)).count("<details") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.onnx"], "nope.onnx"),
        (["{mlp}", "nope.mlir"], "nope.mlir"),
        (["{mlp}", "--a-passes", "nope"], "found pass 'nope'"),
        (["{mlp}", "--b-passes", "@nope"], "nope: cannot be read"),
        (["{mlp}", "--dim", "nope=2"], "'nope'"),
        (["{mlp}", "--html", "{mlp}/x"], "x"),
    ],
)
def test_refusals(sardonyx: Any, mlp: Path, arguments: list[str], message: str) -> None:
    said = sardonyx("diff", *(text.format(mlp=mlp) for text in arguments))
    assert said.code == 2
    assert message in said.err
    assert len(said.err.splitlines()) == 1
