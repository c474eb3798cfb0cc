"""Pruning passes: what they leave out, what that loses, and that groups move right."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.sparse.arrays import encoded
from sardonyx.passes.quantize.second_order import loss
from sardonyx.passes.sparsity.importance import importance
from sardonyx.passes.sparsity.patterns import Pattern, mask_of, pattern_of
from sardonyx.passes.sparsity.solver import Solver, least_squares

from .conftest import Ran, on_onnxruntime, product_proto

Run = Callable[..., Ran]

PATTERNS = ["unstructured", "2:4", "2:4-shared", "group-shared", "block"]
K, N = 64, 48


def correlated(seed: int, depth: int = K, rows: int = 400) -> Any:
    """Inputs that share a few causes, each of another strength."""
    rng = np.random.default_rng(seed)
    causes = rng.standard_normal((rows, depth // 4)) @ rng.standard_normal(
        (depth // 4, depth)
    )
    mixed = causes + rng.standard_normal((rows, depth))
    return (mixed * rng.uniform(0.2, 4, depth)).astype(np.float32)


def drawn(seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((K, N)).astype(np.float32)


def pattern_named(name: str) -> Pattern:
    return pattern_of("test", name, 0.5, 16, 4)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PATTERNS)
def test_layer_losses_are_in_order(name: str, seed: int) -> None:
    weight, x = drawn(seed), correlated(seed)
    second = x.T.astype(np.float64) @ x / len(x)
    pattern = pattern_named(name)
    losses: list[float] = []
    for moments in (second, None):
        keep = mask_of(importance(weight, moments, 1.0), pattern, moments is not None)
        losses.append(float(loss(np.where(keep, 0, weight), second).sum()))
    solved = Solver(pattern).solve(weight, second)
    best = float(loss(solved - weight, second).sum())
    assert losses[0] < losses[1]
    # What stays makes up for much of it.
    assert best < 0.6 * losses[0]
    # Measured on the inputs themselves, it is the same.
    error = np.square(x @ (solved - weight)).sum() / len(x)
    assert error == pytest.approx(best, rel=1e-3)
    assert np.count_nonzero(solved) <= solved.size / 2
    encoded(solved, pattern.encoding(solved.shape, int(np.count_nonzero(solved))))


def test_what_stays_is_a_least_squares_problem() -> None:
    weight, x = drawn(1).astype(np.float64), correlated(1).astype(np.float64)
    keep = np.arange(K) % 2 == 0
    found = least_squares(weight, x.T @ x, keep)
    wanted, *_ = np.linalg.lstsq(x[:, keep], x @ weight, rcond=None)
    np.testing.assert_allclose(found[keep], wanted, rtol=1e-6, atol=1e-9)
    assert not found[~keep].any()


def test_one_weight_out_is_the_optimal_brain_surgeon() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((50, 6)) @ rng.standard_normal((6, 6))
    hessian = x.T @ x
    weight = rng.standard_normal((6, 1))
    # One input fewer for all outputs: by trying each.
    tried = [
        float(
            loss(least_squares(weight, hessian, np.arange(6) != k) - weight, hessian)[0]
        )
        for k in range(6)
    ]
    pattern = pattern_of("test", "group-shared", 1 / 6, 1)
    found = Solver(pattern, damping=0).solve(weight, hessian)
    assert list(np.flatnonzero(found[:, 0] == 0)) == [int(np.argmin(tried))]
    assert float(loss(found - weight, hessian)[0]) == pytest.approx(min(tried))


def test_second_moments_must_fit() -> None:
    with pytest.raises(ValueError, match=r"found \(3, 3\), wanted \(64, 64\)"):
        Solver(pattern_named("2:4")).solve(drawn(0), np.eye(3))


# --- the pass ---


@pytest.mark.parametrize("method", ["magnitude", "wanda", "sparsegpt"])
def test_a_pruned_model_is_the_pruned_product(method: str, ran: Run) -> None:
    weight, x = drawn(5), correlated(5)
    proto = product_proto(weight.T.copy(), ["n", K], operator="Gemm", transB=1)
    spec = f'prune{{method="{method}" pattern="2:4" calibration=CALIBRATION}}'
    found = ran(proto, spec, data=[x[:200], x[200:]])
    pruned = found.constant("onnx.Gemm")
    assert (np.count_nonzero(pruned.reshape(K // 4, 4, N), axis=1) == 2).all()
    if method != "sparsegpt":
        assert ((pruned == weight) | (pruned == 0)).all()
    for y in found.twice(x[:9]):
        np.testing.assert_allclose(y, x[:9] @ pruned, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("pattern", "option", "power"),
    [
        ("2:4", "", 0.5),
        ("2:4", "power=1.0", 1),
        ("unstructured", "", 0.5),
        ("unstructured", "power=0.0", 0),
        ("2:4-shared", "", 0.5),
        ("2:4-shared", "power=1.0", 1),
    ],
)
def test_the_norm_counts_to_a_power(
    pattern: str, option: str, power: float, ran: Run
) -> None:
    weight, x = drawn(9), correlated(9)
    spec = f'prune{{method="wanda" pattern="{pattern}" calibration=CALIBRATION '
    found = ran(product_proto(weight, ["n", K]), f"{spec}{option}}}", data=[x])
    kept = found.constant() != 0
    scores = np.abs(weight) * np.linalg.norm(x.astype(np.float64), axis=0)[:, None] ** (
        power
    )
    for n in range(N):
        for start in range(0, K, 4) if "2:4" in pattern else [0]:
            part = slice(start, start + 4) if "2:4" in pattern else slice(None)
            mine = scores[part, n]
            if pattern.endswith("shared"):
                mine = np.square(scores[part]).sum(1)
            least = np.sort(mine)[len(mine) // 2]
            np.testing.assert_array_equal(kept[part, n], mine >= least)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_convolutions_and_left_weights_too(pattern: str, ran: Run) -> None:
    rng = np.random.default_rng(6)
    kernel = rng.standard_normal((16, 8, 3, 3)).astype(np.float32)
    spec = f'prune{{pattern="{pattern}" group=16 run=4}}'
    found = ran(product_proto(kernel, ["n", 8, 6, 6], operator="Conv"), spec)
    pruned = found.constant("onnx.Conv")
    assert np.count_nonzero(pruned) == kernel.size / 2
    wanted = mask_of(
        importance(kernel.reshape(16, -1).T, None, 1.0), pattern_named(pattern), False
    )
    np.testing.assert_array_equal(pruned.reshape(16, -1).T != 0, wanted)
    left = drawn(7).T.copy()
    found = ran(product_proto(left, [K, "n"], left=True), spec)
    kept = found.constant("onnx.MatMul", 0)
    assert np.count_nonzero(kept) == left.size / 2


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ('prune{exclude="product"}', "the option `exclude` names it"),
        ('prune{pattern="2:3"}', "its 64 inputs are no multiple of 3"),
        (
            'prune{method="wanda" calibration=CALIBRATION}',
            "calibration did not measure its activation",
        ),
    ],
)
def test_it_declines(spec: str, reason: str, ran: Run) -> None:
    left = "CALIBRATION" in spec
    weight = drawn(0).T.copy() if left else drawn(0)
    shape: list[Any] = [K, "n"] if left else ["n", K]
    found = ran(product_proto(weight, shape, left), spec, [correlated(0).T])
    assert reason in found.reasons


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ('prune{method="best"}', "prune: found method 'best', wanted magnitude, wanda"),
        ("prune{power=-1.0}", "prune: found power -1, wanted 0 or more"),
        ('prune{method="wanda"}', "prune: found no calibration, wanted prune"),
        ("regroup-outputs{power=-1.0}", "regroup-outputs: found power -1, wanted"),
        ('regroup-outputs{pattern="2:4"}', "found pattern '2:4', wanted block or"),
    ],
)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(SardonyxError, match=message):
        run_pipeline(load(product_proto(drawn(0), ["n", K])), spec)


# --- the search for groups, in a model ---


def chain(last: str) -> onnx.ModelProto:
    """Two products with a bias and Gelu between, then another or a sum with x."""
    rng = np.random.default_rng(8)
    first = rng.standard_normal((K, K)).astype(np.float32)
    # Two kinds of outputs in turns, each of its own inputs.
    first[: K // 2, ::2] *= 0.05
    first[K // 2 :, 1::2] *= 0.05
    weights = {
        "w": first,
        "b": rng.standard_normal(K).astype(np.float32),
        "v": rng.standard_normal((K, K)).astype(np.float32),
        "s": np.array(0.5, np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "first"),
        helper.make_node("Add", ["b", "h"], ["hb"], "bias"),
        helper.make_node("Mul", ["hb", "s"], ["hs"], "scale"),
        helper.make_node("Tanh", ["hs"], ["g"], "tanh"),
    ]
    if last == "product":
        nodes.append(helper.make_node("MatMul", ["g", "v"], ["y"], "second"))
    elif last == "sum":
        nodes.append(helper.make_node("Add", ["g", "x"], ["y"], "sum"))
    else:
        nodes += [
            helper.make_node("MatMul", ["g", "v"], ["z"], "second"),
            helper.make_node("Softmax", ["g"], ["t"], "softmax"),
            helper.make_node("Add", ["z", "t"], ["y"], "sum"),
        ]
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", 1, ["n", K])],
        [helper.make_tensor_value_info("y", 1, ["n", K])],
        [numpy_helper.from_array(v, n) for n, v in weights.items()],
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


@pytest.mark.parametrize(("last", "gathers"), [("product", 0), ("sum", 1), ("both", 1)])
def test_regrouping_changes_nothing_but_the_order(
    last: str, gathers: int, ran: Run
) -> None:
    proto, x = chain(last), correlated(8)[:10]
    found = ran(proto, 'regroup-outputs{group=32 only="first"}')
    names = [op.name for op in found.model.module.walk()]
    assert names.count("onnx.Gather") == gathers
    order = [run.journal.rewrites for run in found.runs]
    assert len(order[0]) == 1
    wanted = on_onnxruntime(proto, {"x": x})
    for y in found.twice(x):
        np.testing.assert_allclose(y, wanted, rtol=1e-4, atol=1e-4)


def test_groups_lose_less_after_it(ran: Run) -> None:
    proto, x = chain("product"), correlated(8)
    errors: list[float] = []
    for first in ("", 'regroup-outputs{group=32 only="first"},'):
        found = ran(
            proto, f'{first}prune{{pattern="group-shared" group=32 only="first"}}'
        )
        y, _ = found.twice(x)
        errors.append(float(np.square(y - on_onnxruntime(proto, {"x": x})).sum()))
    assert errors[1] < errors[0] / 4


def test_groups_of_each_method_are_by_its_own_power(ran: Run) -> None:
    x = correlated(8) ** 3
    orders: list[Any] = []
    for options in ('"sparsegpt"', '"wanda" power=1.0', '"wanda"'):
        spec = f"regroup-outputs{{method={options} calibration=CALIBRATION group=16}}"
        found = ran(product_proto(drawn(8), ["n", K]), spec, [x])
        orders.append(found.constant())
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_what_cannot_move_stays(ran: Run) -> None:
    found = ran(chain("sum"), 'regroup-outputs{group=32 only="first" written=false}')
    assert "onnx.Add takes its outputs with others" in found.reasons
    found = ran(product_proto(drawn(0)[:, :4], ["n", K]), "regroup-outputs{group=4}")
    assert any("groups keep" in reason for reason in found.reasons)
