"""
The JAX backend: a pure function of the weights and the inputs, jitted as a whole.

`emitter` writes the function, `calls` runs it (with 64-bit types, and XLA's programs
kept for the user's next process), `exporting` hands it on as StableHLO.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from xdsl.dialects.func import FuncOp

from ...dialects.onnx import WeightStore
from ...dialects.onnx.provenance import describe
from ...dialects.sdy import is_per_device
from ..kernels import Kernel
from ..overriding import table_of
from ..program import Buckets, InputSpec, LoweringError, Program, assemble
from .ahead import compile_ahead
from .buckets import call_in_buckets
from .calls import call, fuse_products, keep_products, prepare_weights
from .exporting import exported
from .kernels import INNER, KERNELS
from .products import has_large_products
from .segment_calls import by_value, call_segments
from .segmented import SegmentedEmitter
from .sharded import ShardedEmitter

__all__ = [
    "TABLE",
    "call",
    "compile_ahead",
    "exported",
    "mapped_specs",
    "prepare_weights",
    "write_program",
]

TABLE: dict[str, Kernel] = table_of(KERNELS, INNER)
"""The kernel of every op that JAX can trace."""

_DRIVER = '''
WEIGHTS = {{}}
{jitted}


def run(*args, **kwargs):
    """Run the model on arrays, by position or by input name; a tuple of its outputs."""
    if not WEIGHTS:
        folder = os.path.dirname(os.path.abspath(__file__))
        arrays = read_weights(os.path.join(folder, "weights.safetensors"))
        WEIGHTS.update(prepare_weights(arrays))
    return call(jitted, WEIGHTS, bind(INPUTS, args, kwargs))


if __name__ == "__main__":
    main(run, INPUTS, [name for name, *_ in OUTPUTS])
'''

_MAPPED = """


# One sample's function becomes a batch's: every input and output has a new first axis.
forward = jax.vmap(forward, in_axes=({axes}))"""


def write_program(
    main: FuncOp,
    store: WeightStore,
    title: str,
    inputs: Sequence[InputSpec],
    outputs: Sequence[InputSpec],
    vmap: bool = False,
    buckets: Buckets | None = None,
) -> Program:
    """
    The JAX program of `main`; LoweringError names what JAX cannot trace.

    With `vmap` it runs on a batch of what `main` takes: see `mapped_specs`. With
    `buckets` it pads what it is called with.
    """
    if is_per_device(main):
        if vmap or buckets is not None:
            raise LoweringError("found a per-device program, wanted a global one")
        return _write_sharded(main, store, title, inputs, outputs)
    emitter = SegmentedEmitter(TABLE, store)
    for needed in ("import jax", "import jax.numpy as jnp", "from jax import lax"):
        emitter.pasted.imports[needed] = None
    forward = emitter.emit(main, [spec.name for spec in inputs])
    host = tuple(f"{describe(op)}: {why}" for op, why in emitter.plan.reasons.items())
    fixed = tuple(inputs[place].name for place in emitter.fixed_inputs(main))
    if vmap:
        _check_pure(emitter, main, host, fixed)
        forward += _MAPPED.format(axes=", ".join(["None", *("0" for _ in inputs)]))
        inputs, outputs = mapped_specs(inputs, outputs)
    calling = call_segments if emitter.in_segments(main) else call
    runner: list[Callable[..., Any]] = [calling, prepare_weights]
    compiling = "\n".join(emitter.compiling)
    if "by_value" in compiling:
        emitter.pasted.imports["from functools import partial"] = None
        runner.append(by_value)
    if buckets is not None:
        emitter.pasted.imports["from functools import partial"] = None
        runner.append(call_in_buckets)
        compiling += _bucketed(buckets, calling.__name__)
    if emitter.fuses_products:
        runner.append(fuse_products)
        compiling = f"fuse_products()\n{compiling}"
    elif has_large_products(main):
        runner.append(keep_products)
        compiling = f"keep_products()\n{compiling}"
    driver = _DRIVER.format(jitted=compiling)
    source = assemble(title, emitter, forward, inputs, outputs, runner, driver)
    keys = tuple(emitter.weights)
    ends = tuple(inputs), tuple(outputs)
    return Program(source, keys, *ends, host, fixed, buckets)


def _check_pure(
    emitter: SegmentedEmitter,
    main: FuncOp,
    host: Sequence[str],
    fixed: Sequence[str],
) -> None:
    """Raise LoweringError unless the program is a function of arrays alone."""
    if host or fixed:
        found = host[0] if host else f"the values of {fixed[0]!r} fix shapes"
        raise LoweringError(f"vmap: {found}")
    if emitter.in_segments(main):
        found = ", ".join(map(describe, emitter.plan.bounds.sources))
        raise LoweringError(f"vmap: {found}: the size of a result depends on data")


def _write_sharded(
    main: FuncOp,
    store: WeightStore,
    title: str,
    inputs: Sequence[InputSpec],
    outputs: Sequence[InputSpec],
) -> Program:
    """The program of a function that is one `sdy.manual_computation`."""
    emitter = ShardedEmitter(TABLE, store)
    for needed in (
        "import jax",
        "import jax.numpy as jnp",
        "from jax import lax",
        "from jax.sharding import PartitionSpec as P",
    ):
        emitter.pasted.imports[needed] = None
    emitter.reserve("P")
    forward = emitter.emit(main, [spec.name for spec in inputs])
    driver = _DRIVER.format(jitted="jitted = jax.jit(forward)")
    runner = [call, prepare_weights]
    source = assemble(title, emitter, forward, inputs, outputs, runner, driver)
    return Program(source, tuple(emitter.weights), tuple(inputs), tuple(outputs))


def _bucketed(buckets: Buckets, calling: str) -> str:
    """The lines that have ``call`` pad its inputs."""
    rows = {
        "BUCKETS": {dim: tuple(sizes) for dim, sizes in buckets.sizes.items()},
        "ONES": {dim: tuple(buckets.ones.get(dim, ())) for dim in buckets.sizes},
    }
    lines = [f"{name} = {{{_entries(table)}}}" for name, table in rows.items()]
    call = f"partial(call_in_buckets, {calling}, (INPUTS, OUTPUTS), BUCKETS, ONES)"
    return "\n" + "\n".join([*lines, f"call = {call}"])


def _entries(table: Mapping[str, object]) -> str:
    return ", ".join(f"{name!a}: {entry!r}" for name, entry in table.items())


def mapped_specs(
    inputs: Sequence[InputSpec], outputs: Sequence[InputSpec]
) -> tuple[list[InputSpec], list[InputSpec]]:
    """
    `inputs` and `outputs` with a new first axis, a free size that all of them share.

    It is called ``batch``, or ``batch_1`` … if the model has a dimension of that name.
    Raises LoweringError if there is no input, or one of unknown rank.
    """
    if not inputs:
        raise LoweringError("vmap: found no inputs, wanted one to map over")
    for spec in inputs:
        if spec.shape is None:
            raise LoweringError(
                f"vmap: input {spec.name!r}: found no rank, wanted a known one"
            )
    taken = {dim for spec in (*inputs, *outputs) for dim in spec.shape or ()}
    name, count = "batch", 0
    while name in taken:
        count += 1
        name = f"batch_{count}"
    return [_mapped(s, name) for s in inputs], [_mapped(s, name) for s in outputs]


def _mapped(spec: InputSpec, name: str) -> InputSpec:
    shape = None if spec.shape is None else (name, *spec.shape)
    return InputSpec(spec.name, spec.dtype, shape, spec.bound)
