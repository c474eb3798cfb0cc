"""What became of layers: how they are stored, their bytes, their results' noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xdsl.ir import SSAValue

from ...dialects.onnx.types import Array
from ...dialects.quant.numbers import signal_to_noise
from ...passes.quantize.names import value_names
from ..driver import Executable, call_by_name, lower
from ..model import Model
from ..text import used_weights
from ..verify import expose


@dataclass(frozen=True)
class Layer:
    """One product before and after."""

    node: str
    """The name of its ONNX node, or what its value is called."""
    operator: str
    stored: str
    """How its weight is: ``int8, axis 1``, ``group_shared 128 512``, ``float32`` …"""
    elements: int
    bytes_before: int
    bytes_after: int
    """With scales, zero points, indices and masks."""
    decibels: float | None
    """The signal to noise of its result, earlier layers' noise included."""
    density: float | None = None
    """The part of the weight's elements that is stored; None if it was not counted."""


@dataclass(frozen=True)
class Report:
    """The layers, and the bytes of all weights."""

    layers: tuple[Layer, ...]
    bytes_before: int
    bytes_after: int

    @property
    def bits_per_weight(self) -> float:
        """On disk, over the elements of the products' weights."""
        return 8 * sum(layer.bytes_after for layer in self.layers) / self._elements

    @property
    def density(self) -> float | None:
        """Of all products' weights together; None if there are none, or not counted."""
        kept = 0.0
        for layer in self.layers:
            if layer.density is None:
                return None
            kept += layer.density * layer.elements
        return kept / self._elements if self.layers else None

    @property
    def _elements(self) -> int:
        return max(sum(layer.elements for layer in self.layers), 1)

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        whole = {
            "bytes_before": self.bytes_before,
            "bytes_after": self.bytes_after,
            "bits_per_weight": self.bits_per_weight,
            "density": self.density,
        }
        return {
            **_counted(whole),
            "layers": [_counted(asdict(layer)) for layer in self.layers],
        }


def _counted(entry: dict[str, Any]) -> dict[str, Any]:
    """`entry` without a density that was not counted."""
    return {k: v for k, v in entry.items() if k != "density" or v is not None}


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
