"""What layers lost: their bytes, and the noise in their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from xdsl.ir import SSAValue

from ...dialects.onnx.types import Array
from ...dialects.quant.numbers import signal_to_noise
from ...passes.quantize.names import value_names
from ..driver import Executable, call_by_name, lower
from ..model import Model
from ..text import used_weights
from ..verify import expose


def weight_bytes(model: Model) -> int:
    """The bytes of all weights of a model in a file."""
    store = model.context.store
    return sum(store[key].file_bytes for key in used_weights(model))


def decibels(
    before: Model, after: Model, names: Sequence[str], batch: Mapping[str, Array]
) -> dict[str, float]:
    """
    The signal to noise of the values called so, in `after` beside `before`.

    Those of integers, and those that `after` lacks, are left out.
    """
    wanted, found = (values_of(model, names, batch) for model in (before, after))
    return {
        name: signal_to_noise(found[name], wanted[name])
        for name in names
        if name in found
        and name in wanted
        and found[name].shape == wanted[name].shape
        and wanted[name].dtype.kind == "f"
    }


def values_of(
    model: Model, names: Sequence[str], batch: Mapping[str, Array]
) -> dict[str, Array]:
    """The values of `model` that are called so, on one batch."""
    copy = model.clone()
    known = {name: value for value, name in value_names(copy.module).items()}
    shown: dict[str, SSAValue] = {n: known[n] for n in names if n in known}
    outputs = len(copy.results)
    expose(copy, list(shown.values()))
    executable = Executable(copy, "numpy", "", lower(copy, "numpy"))
    arrays = call_by_name(executable, batch)[outputs:]
    return dict(zip(shown, arrays, strict=True))
