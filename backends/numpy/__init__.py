"""The NumPy backend: a program of NumPy calls, control flow as Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.dialects.func import FuncOp

from ...dialects.onnx import WeightStore
from ...dialects.sdy import is_per_device
from ..kernels import Kernel
from ..overriding import table_of
from ..program import InputSpec, LoweringError, Program, assemble
from .kernels import INNER, KERNELS
from .prepared import PreparingEmitter
from .sharded import ShardedEmitter
from .streaming import StreamingEmitter
from .window import open_stream

TABLE: dict[str, Kernel] = table_of(KERNELS, INNER)
"""The kernel of every op that NumPy can run."""


_DRIVER = '''
WEIGHTS = {}


def run(*args, **kwargs):
    """Run the model on arrays, by position or by input name; a tuple of its outputs."""
    if not WEIGHTS:
        folder = os.path.dirname(os.path.abspath(__file__))
        WEIGHTS.update(@READ@)
    return call(forward, WEIGHTS, bind(INPUTS, args, kwargs))


if __name__ == "__main__":
    main(run, INPUTS, [name for name, *_ in OUTPUTS])
'''


_READ = 'read_weights(os.path.join(folder, "weights.safetensors"))'
_STREAM = """open_stream(
            os.path.join(folder, "weights.safetensors"), STEPS, LOOKED_UP, LIMIT
        )"""


def call(
    forward: Any, weights: Mapping[str, Any], inputs: Sequence[Any]
) -> tuple[Any, ...]:
    """
    The outputs of `forward` as arrays that share no memory with inputs or each other.

    Overflow and nan are results, not warnings.
    """
    with np.errstate(all="ignore"):
        results = forward(weights, *inputs)
    others: list[Any] = [x for x in inputs if isinstance(x, np.ndarray)]
    outputs: list[Any] = []
    for result in results:
        if result is None or isinstance(result, list | dict):
            outputs.append(result)
            continue
        array: Any = np.asarray(result)
        if any(np.may_share_memory(array, other) for other in others):
            array = array.copy()
        others.append(array)
        outputs.append(array)
    return tuple(outputs)


def write_program(
    main: FuncOp,
    store: WeightStore,
    title: str,
    inputs: Sequence[InputSpec],
    outputs: Sequence[InputSpec],
    memory_limit: int | None = None,
) -> Program:
    """
    The NumPy program of `main`; LoweringError names what has no kernel.

    With `memory_limit`, an artifact's program holds at most so many bytes of its
    weights in memory; without, it may hold some in a second form, see `prepared`.
    """
    emitter = (
        ShardedEmitter(TABLE, store)
        if is_per_device(main)
        else PreparingEmitter(TABLE, store)
    )
    runner, reading = [call], _READ
    if memory_limit is not None:
        if is_per_device(main):
            raise LoweringError("memory limit: found a per-device program")
        emitter = StreamingEmitter(TABLE, store, limit=memory_limit)
        runner, reading = [call, open_stream], _STREAM
    forward = emitter.emit(main, [spec.name for spec in inputs])
    if isinstance(emitter, PreparingEmitter) and emitter.made:
        reading = f"prepared({reading})"
    driver = _DRIVER.replace("@READ@", reading)
    source = assemble(title, emitter, forward, inputs, outputs, runner, driver)
    return Program(source, tuple(emitter.weights), tuple(inputs), tuple(outputs))


def prepare_weights(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Weights as the kernels read them best: aligned, contiguous, and not writable."""
    prepared: dict[str, Any] = {}
    for key, array in arrays.items():
        prepared[key] = np.require(array, requirements=["C", "A"]).view()
        prepared[key].flags.writeable = False
    return prepared
