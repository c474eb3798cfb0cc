"""Products without zeros: the same as dense ones, and taken only where they pay."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.sparse import NM, Bitmap, Block, GroupShared
from sardonyx.passes.analysis.targets import Engine, read_target
from sardonyx.passes.sparsity.costs import BACKENDS, Work
from sardonyx.passes.sparsity.encode_sparse import candidates

from .conftest import Ran, product_proto

Run = Callable[..., Ran]

K, N, GROUP = 256, 192, 48
ALWAYS = 'encode-sparse{goal="bytes"}'


def group_shared(dtype: Any = np.float32, group: int = GROUP, run: int = 1) -> Any:
    """A weight of which every group of outputs leaves out three quarters."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((K, N)).astype(dtype)
    for start in range(0, N, group):
        rows = rng.permutation(K // run)[: 3 * K // run // 4]
        for row in rows:
            weight[row * run : (row + 1) * run, start : start + group] = 0
    return weight


def scattered(kept: float) -> Any:
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((K, N)).astype(np.float32)
    return np.where(rng.random((K, N)) < kept, weight, np.float32(0))


def two_of_four() -> Any:
    weight = scattered(1.0).reshape(K // 4, 4, N)
    order = np.argsort(np.abs(weight), axis=1)[:, :2]
    np.put_along_axis(weight, order, 0, axis=1)
    return weight.reshape(K, N)


WEIGHTS = {
    "groups": (group_shared(), GroupShared(GROUP, K // 4)),
    "doubles": (group_shared(np.float64), GroupShared(GROUP, K // 4)),
    "blocks": (group_shared(run=8), Block(8, GROUP, K // 32)),
    "one group": (group_shared(group=N), GroupShared(N, K // 4)),
    "bitmap": (scattered(0.4), Bitmap(int(np.count_nonzero(scattered(0.4))))),
    "2:4": (two_of_four(), NM(2, 4)),
    "nothing": (np.zeros((K, N), np.float32), GroupShared(N, 1)),
}


def close(found: Any, wanted: Any, dtype: Any) -> None:
    limit = 1e-5 if dtype == np.float32 else 1e-12
    assert found.dtype == dtype
    assert np.abs(found - wanted).max() <= limit * max(np.abs(wanted).max(), 1)


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_it_is_the_dense_product(name: str, left: bool, ran: Run) -> None:
    weight, encoding = WEIGHTS[name]
    x = np.random.default_rng(1).standard_normal((K, 20)).astype(weight.dtype)
    wanted = weight.T.astype(np.float64) @ x
    if left:
        proto = product_proto(weight.T.copy(), [K, "n"], left=True)
    else:
        x, wanted = x.T.copy(), wanted.T
        proto = product_proto(weight, ["n", K])
    found = ran(proto, ALWAYS)
    (op,) = [op for op in found.model.module.walk() if op.name.startswith("sparse.")]
    assert op.encoding == encoding
    assert op.encoding.density((K, N)) < 1
    for y in found.everywhere(x).values():
        close(y, wanted, weight.dtype)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("groups", (3, 5, K)),
        ("blocks", (2, 2, 3, K)),
        ("bitmap", (3, 5, K)),
        ("groups", (1, K)),
        ("blocks", (1, K)),
        ("one group", (1, K)),
    ],
)
def test_ranks_and_rows(name: str, shape: tuple[int, ...], ran: Run) -> None:
    weight, _ = WEIGHTS[name]
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    proto = product_proto(weight, ["a", *shape[1:]])
    found = ran(proto, ALWAYS).everywhere(x)
    for y in found.values():
        close(y, x.astype(np.float64) @ weight, np.float32)


@pytest.mark.parametrize("name", ["blocks", "bitmap"])
def test_a_batch_right_of_the_weight(name: str, ran: Run) -> None:
    weight, _ = WEIGHTS[name]
    x = np.random.default_rng(1).standard_normal((2, 3, K, 5)).astype(np.float32)
    proto = product_proto(weight.T.copy(), [2, 3, K, 5], left=True)
    for y in ran(proto, ALWAYS).everywhere(x).values():
        close(y, weight.T.astype(np.float64) @ x, np.float32)


def test_a_gemm_keeps_its_bias(ran: Run) -> None:
    weight, _ = WEIGHTS["groups"]
    bias = np.arange(N, dtype=np.float32)
    proto = product_proto(
        weight.T.copy(), ["n", K], bias=bias, operator="Gemm", transB=1
    )
    x = np.random.default_rng(1).standard_normal((9, K)).astype(np.float32)
    found = ran(proto, ALWAYS)
    assert found.op("sparse.MatMul").encoding == GroupShared(GROUP, K // 4)
    for y in found.everywhere(x).values():
        close(y, x.astype(np.float64) @ weight + bias, np.float32)


def test_it_follows_the_sizes(ran: Run) -> None:
    found = ran(product_proto(WEIGHTS["groups"][0], ["n", K]), ALWAYS)
    run_pipeline(found.model, 'specialize-dims{dims="n=7"}')
    assert str(found.op("sparse.MatMul").results[0].type) == f"tensor<7x{N}xf32>"


def test_shared_n_of_m_is_one_group() -> None:
    weight = np.ones((8, 3), np.float32)
    weight[[1, 2, 4, 7]] = 0
    assert list(candidates(weight)) == [GroupShared(3, 4)]


# --- what is worth it ---


def test_much_sparsity_on_many_rows_pays(ran: Run) -> None:
    weight = np.zeros((1024, 1024), np.float32)
    rng = np.random.default_rng(0)
    for start in range(0, 1024, 256):
        weight[rng.permutation(1024)[:512], start : start + 256] = 1
    found = ran(product_proto(weight, [128, 1024]), "encode-sparse")
    assert found.op("sparse.MatMul").encoding == GroupShared(256, 512)
    # What is not known is taken to be many.
    found = ran(product_proto(weight, ["n", 1024]), "encode-sparse")
    assert found.op("sparse.MatMul").encoding == GroupShared(256, 512)


@pytest.mark.parametrize(
    ("name", "rows", "options", "reason"),
    [
        ("bitmap", 128, "", r"bitmap \d+ would take \d+ us, \d+ us dense"),
        ("dense", 128, "", "only 0.0% of it is 0"),
        (
            "little",
            128,
            "",
            r"block 1\d* .* would take \d+ us, \d+ us dense, on 128 rows",
        ),
        ("nan", 128, "", "its weight is not finite"),
        ("groups", 128, 'exclude="product"', "the option `exclude` names it"),
        ("much", 128, 'goal="bytes"', r"bitmap \d+ takes \d+ bytes, dense 196608"),
    ],
)
def test_it_declines(name: str, rows: int, options: str, reason: str, ran: Run) -> None:
    rng = np.random.default_rng(4)
    little = scattered(1.0)
    little[: K // 16, :GROUP] = little[-K // 16 :, GROUP:] = 0
    others = {
        "dense": scattered(1.0),
        "little": little,
        "nan": np.where(rng.random((K, N)) < 0.5, np.float32(np.nan), np.float32(0)),
        "much": scattered(0.975),
    }
    weight = others[name] if name in others else WEIGHTS[name][0]
    spec = f"encode-sparse{{{options}}}" if options else "encode-sparse"
    found = ran(product_proto(weight, [rows, K]), spec)
    assert [r for r in found.reasons if re.search(reason, r)], found.reasons


@pytest.mark.parametrize("backend", BACKENDS)
def test_estimates_grow_with_the_work(backend: str) -> None:
    engine = Engine("e", {"float32": 2e11, "float64": 1e11}, 2e10, 1e9, 2e-6)
    on = engine, BACKENDS[backend]
    few, many = Work(8, 1024, 1024), Work(512, 1024, 1024)
    assert many.dense(*on) > few.dense(*on)
    for work in (few, many):
        times = [work.gathered(*on, 4, kept) for kept in (256, 512, 768)]
        assert times == sorted(times)
        assert work.gathered(*on, 32, 512) > work.gathered(*on, 4, 512)
    left = Work(512, 1024, 1024, left=True)
    assert left.gathered(*on, 4, 512) < many.gathered(*on, 4, 512)
    assert many.expanded(*on) > many.dense(*on)


@pytest.mark.parametrize(
    ("backend", "group", "part", "left", "taken"),
    [
        ("numpy", 256, 0.3, True, True),
        ("numpy", 256, 0.5, False, True),
        ("numpy", 128, 0.1, False, False),
        ("numpy", 16, 0.3, False, False),
        ("jax", 256, 0.5, True, True),
        ("jax", 256, 0.75, False, True),
        ("jax", 128, 0.3, False, False),
    ],
)
def test_choices_are_those_that_were_measured(
    backend: str, group: int, part: float, left: bool, taken: bool
) -> None:
    on = read_target("host-cpu").engines[0], BACKENDS[backend]
    work = Work(128, 1024, 1024, left=left)
    kept = round((1 - part) * 1024)
    assert (work.gathered(*on, 1024 // group, kept) < work.dense(*on)) == taken


def test_unknown_goals_and_targets_are_refused() -> None:
    model = load(product_proto(WEIGHTS["groups"][0], ["n", K]))
    with pytest.raises(SardonyxError, match="found goal 'x', wanted time or bytes"):
        run_pipeline(model, 'encode-sparse{goal="x"}')
    with pytest.raises(SardonyxError, match="found backend 'x', wanted numpy or jax"):
        run_pipeline(model, 'encode-sparse{backend="x"}')
    with pytest.raises(SardonyxError, match="target 'moon'"):
        run_pipeline(model, 'encode-sparse{target="moon"}')
