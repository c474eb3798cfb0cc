"""Planned programs run in their arena, and give what they give without one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper
from sardonyx.backends.kernels.apply import apply
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.text import write_text
from sardonyx.dialects.onnx import OnnxBuilder, OnnxContext, OnnxOp, WeightStore
from sardonyx.dialects.onnx.journal import Journal
from sardonyx.dialects.onnx.types import ELEMENT_TYPES, static_shape, tensor
from sardonyx.dialects.sched import ALIGNMENT, OUTSIDE, arena_of, offsets_of
from sardonyx.passes.analysis.buffers import buffers_of
from sardonyx.passes.schedule.plan_memory import PlanMemoryPass, planned
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region, SSAValue


@dataclass(frozen=True)
class Recipe:
    """A random program: per op its kind and which values it takes."""

    steps: tuple[tuple[str, int, int], ...]
    outputs: tuple[int, ...]


KINDS = ("Neg", "Add", "Identity", "Flatten", "Transpose", "Slice", "Concat", "Where")
places = st.integers(0, 1000)
recipes = st.builds(
    Recipe,
    st.lists(
        st.tuples(st.sampled_from(KINDS), places, places), min_size=1, max_size=16
    ).map(tuple),
    st.lists(places, min_size=1, max_size=3).map(tuple),
)


def written(recipe: Recipe) -> tuple[FuncOp, OnnxContext]:
    """The program on two square matrices; a step that does not fit them is left out."""
    kind = tensor(ELEMENT_TYPES["float32"], (4, 4))
    block = Block(arg_types=[kind, kind])
    store = WeightStore()
    builder = OnnxBuilder(block.add_op, store)
    values: list[SSAValue] = list(block.args)
    for name, first, second in recipe.steps:
        a, b = values[first % len(values)], values[second % len(values)]
        made = step(builder, name, a, b)
        if made is not None:
            values.append(made)
    block.add_op(ReturnOp(*(values[place % len(values)] for place in recipe.outputs)))
    types = [value.type for value in block.last_op.operands]  # type: ignore[union-attr]
    return FuncOp("main", ([kind, kind], types), Region(block)), context(store)


def context(store: WeightStore) -> OnnxContext:
    ctx = OnnxContext()
    ctx.store = store
    return ctx


def step(builder: OnnxBuilder, name: str, a: SSAValue, b: SSAValue) -> SSAValue | None:
    sizes, others = static_shape(a.type), static_shape(b.type)
    match name:
        case "Transpose":
            return builder.value("onnx.Transpose", a, perm=(1, 0))
        case "Flatten":
            return builder.value("onnx.Flatten", a, axis=2)
        case "Slice":
            one = np.array([1]), np.array([1 << 30]), np.array([1])
            bounds = [builder.constant(x.astype(np.int64)) for x in one]
            return builder.value("onnx.Slice", a, *bounds) if sizes[0] > 1 else None
        case "Concat":
            fits = sizes[1] == others[1] and sizes[0] + others[0] < 9
            return builder.value("onnx.Concat", a, b, axis=0) if fits else None
        case "Where":
            if sizes != others:
                return None
            less = builder.value("onnx.Less", a, b)
            return builder.value("onnx.Where", less, a, b)
        case "Add":
            fits = all(
                x == y or 1 in (x, y) for x, y in zip(sizes, others, strict=True)
            )
            return builder.value("onnx.Add", a, b) if fits else None
        case _:
            return builder.value(f"onnx.{name}", a)


def run(function: FuncOp, inputs: list[Any], store: Any, arena: Any = None) -> Any:
    """
    The outputs, with every result that has an offset written there in `arena`.

    What has none is left as the kernel gives it, a view of an operand maybe.
    """
    known: dict[SSAValue, Any] = dict(
        zip(function.body.block.args, inputs, strict=True)
    )
    for op in function.body.block.ops:
        if isinstance(op, ReturnOp):
            return [np.array(known[value]) for value in op.operands]
        if op.name == "onnx.none":
            known[op.results[0]] = None
            continue
        assert isinstance(op, OnnxOp)
        if op.name == "onnx.Constant":
            held = op.properties["value"]
            inline = hasattr(held, "array")
            made = [held.array() if inline else store[held.data].array()]
        else:
            made = apply(op, [known[value] for value in op.operands])
        for value, array, offset in zip(op.results, made, offsets_of(op), strict=True):
            known[value] = array
            if offset != OUTSIDE and arena is not None:
                lain = arena[offset : offset + array.nbytes].view(array.dtype)
                known[value] = lain.reshape(array.shape)
                known[value][...] = array
    raise AssertionError("a function returns")


def plan(function: FuncOp, ctx: OnnxContext) -> int:
    PlanMemoryPass().apply(ctx, ModuleOp([function]))
    return arena_of(function) or 0


@settings(max_examples=200)
@given(recipes)
def test_results_in_the_arena_are_the_same(recipe: Recipe) -> None:
    function, ctx = written(recipe)
    inputs = [np.random.default_rng(n).normal(size=(4, 4)) for n in range(2)]
    inputs = [x.astype(np.float32) for x in inputs]
    wanted = run(function, inputs, ctx.store)
    arena = np.zeros(plan(function, ctx), np.uint8)
    found = run(function, inputs, ctx.store, arena)
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_result_that_is_overwritten_is_seen() -> None:
    steps = (("Neg", 0, 0), ("Neg", 1, 1), ("Add", 2, 3), ("Neg", 4, 4))
    function, ctx = written(Recipe(steps, (5,)))
    plan(function, ctx)
    first, second, *_ = function.body.block.ops
    second.attributes["sched.offsets"] = first.attributes["sched.offsets"]
    inputs = [np.eye(4, dtype=np.float32), np.ones((4, 4), np.float32)]
    arena = np.zeros(arena_of(function), np.uint8)
    found, wanted = (run(function, inputs, ctx.store, a) for a in (arena, None))
    assert not np.array_equal(found[0], wanted[0])


def held(steps: Any, outputs: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """How many values each buffer has, and from when to when."""
    function, _ = written(Recipe(tuple(steps), outputs))
    return [(len(b.values), b.first, b.last) for b in buffers_of(function)]


@pytest.mark.parametrize(
    ("steps", "outputs", "wanted"),
    [
        # One over the other; the last leaves.
        ([("Neg", 0, 0), ("Neg", 2, 0), ("Neg", 3, 0)], (4,), [(2, 0, 2)]),
        # Read once more later: a buffer of its own.
        (
            [("Neg", 0, 0), ("Neg", 2, 0), ("Add", 2, 3), ("Neg", 4, 0)],
            (5,),
            [(2, 0, 3), (1, 1, 2)],
        ),
        # A transposed self would be read after it is gone.
        (
            [("Neg", 0, 0), ("Transpose", 2, 0), ("Add", 2, 3), ("Neg", 4, 0)],
            (5,),
            [(1, 0, 2), (1, 2, 3)],
        ),
        # Another row by row is the same elements.
        (
            [("Neg", 0, 0), ("Flatten", 2, 0), ("Neg", 3, 0), ("Neg", 4, 0)],
            (5,),
            [(2, 0, 3)],
        ),
        # What a slice points into is held as long as the slice.
        (
            [("Neg", 0, 0), ("Slice", 2, 0), ("Neg", 0, 0), ("Neg", 3, 0)],
            (5,),
            [(1, 0, 7), (1, 6, 6)],
        ),
        # What leaves points into it.
        ([("Neg", 0, 0), ("Transpose", 2, 0)], (3,), []),
        # Turned, it is copied to take another shape.
        (
            [("Neg", 0, 0), ("Transpose", 2, 0), ("Flatten", 3, 0), ("Neg", 4, 0)],
            (5,),
            [(1, 0, 2), (1, 2, 3)],
        ),
        # Where is written in two steps.
        (
            [("Neg", 0, 0), ("Where", 2, 1), ("Neg", 3, 0)],
            (4,),
            [(1, 0, 2), (1, 1, 2), (1, 2, 3)],
        ),
    ],
)
def test_who_shares_a_buffer(
    steps: Any, outputs: tuple[int, ...], wanted: list[tuple[int, int, int]]
) -> None:
    assert held(steps, outputs) == wanted


def test_offsets_are_notes_that_print_and_parse(tmp_path: Path, mlp_proto: Any) -> None:
    model = load(mlp_proto)
    run_pipeline(model, 'specialize-dims{dims="batch=2"},plan-memory')
    path = tmp_path / "planned.mlir"
    write_text(model, path)
    again = load(path)
    assert arena_of(again.main) == arena_of(model.main) > 0
    for a, b in zip(again.main.walk(), model.main.walk(), strict=True):
        assert offsets_of(a) == offsets_of(b)
        assert all(o == OUTSIDE or o % ALIGNMENT == 0 for o in offsets_of(a))


def test_planning_again_forgets_the_old_plan(mlp_proto: Any) -> None:
    model = load(mlp_proto)
    run_pipeline(model, 'specialize-dims{dims="batch=2"},plan-memory')
    once = model.text()
    run_pipeline(model, "plan-memory")
    assert model.text() == once


def test_free_sizes_have_no_place_and_say_so(mlp_proto: Any) -> None:
    model = load(mlp_proto)
    journal = Journal()
    model.context.journal = journal
    PlanMemoryPass().apply(model.context, model.module)
    assert arena_of(model.main) is None
    assert "wanted a static shape" in next(iter(journal.reasons()))
    assert not journal.rewrites


def test_a_planned_model_compiles_and_says_the_same(
    mlp_proto: Any, assert_close: Any
) -> None:
    (only,) = load(mlp_proto).inputs
    inputs = {only.name: np.ones((2, 8), np.float32)}
    spec = 'specialize-dims{dims="batch=2"}'
    wanted = compile_model(mlp_proto, backend="numpy", pipeline=spec)(**inputs)
    both = f"{spec},plan-memory"
    found = compile_model(mlp_proto, backend="numpy", pipeline=both)(**inputs)
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b)


def test_planned_is_what_the_pass_writes(mlp_proto: Any) -> None:
    model = load(mlp_proto)
    run_pipeline(model, 'specialize-dims{dims="batch=2"},plan-memory')
    buffers, found = planned(model.main)
    assert arena_of(model.main) == found.size * ALIGNMENT
    assert sum(len(b.values) for b in buffers) == sum(
        offset != OUTSIDE for op in model.main.walk() for offset in offsets_of(op)
    )


def test_what_changed_after_the_plan_is_planned_again(
    model_of: Any, value_info: Any, assert_close: Any
) -> None:
    """A composite operator that is expanded only when the program is written."""
    kinds = ["Exp", "Shrink", "Neg", "Softsign", "Exp", "Mish"]
    nodes = [
        helper.make_node(kind, [f"h{n}"], [f"h{n + 1}"], f"n{n}")
        for n, kind in enumerate(kinds)
    ]
    nodes.append(helper.make_node("Add", ["h6", "h2"], ["y"], "last"))
    source = model_of(nodes, [value_info("h0", [8, 8])], [value_info("y", [8, 8])])
    spec = 'plan-memory,expand-functions{ops="Mish","Softsign","Shrink"}'
    x = {"h0": np.linspace(-2, 2, 64, dtype=np.float32).reshape(8, 8)}
    wanted = compile_model(source, backend="numpy", pipeline="O0")(**x)
    executable = compile_model(source, backend="numpy", pipeline=spec)
    for _ in range(2):
        assert_close(executable(**x)[0], wanted[0])
    main = executable.model.main
    buffers, found = planned(main)
    assert arena_of(main) == found.size * ALIGNMENT
    assert all(OUTSIDE not in offsets_of(b.values[0].owner) for b in buffers)
