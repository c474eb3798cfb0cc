"""
Calibration: runs a model on NumPy and measures what its products take.

What was measured is kept per user, by the contents of the model and the data: the same
calibration is not run twice.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ...dialects.errors import SardonyxError
from ...dialects.onnx.types import Array
from ...passes.quantize.calibration import Calibration, CalibrationError
from ...passes.quantize.names import value_names
from ...passes.quantize.products import products_in
from ...passes.quantize.statistics import Observer
from ..caches import cache_folder
from ..driver import Executable, call_by_name, lower
from ..model import Model
from ..text import used_weights
from ..verify import expose
from .data import Batches

Told = Callable[[int], object]
"""Told how many batches more are done."""


def unheard(count: int) -> None:
    """Progress that nobody looks at."""


def calibrated(
    model: Model, batches: Batches, second: bool = False, told: Told = unheard
) -> Calibration:
    """
    What was measured in `model`, which stays as it is: its products' activations.

    With `second`, the second moments of the inputs of matrix products too. Raises
    SardonyxError if the model cannot run on the data.
    """
    copy = model.clone()
    names = value_names(copy.module)
    products = products_in(copy.module, copy.context.store)
    taken = {p.x: p for p in products if p.x in names}
    observers = [
        Observer(p.channel_axis, second and not p.is_conv) for p in taken.values()
    ]
    outputs = len(copy.results)
    expose(copy, list(taken))
    executable = Executable(copy, "numpy", "", lower(copy, "numpy"))
    for place, batch in enumerate(batches):
        found = call_by_name(executable, batch)[outputs:]
        for value, observer, array in zip(taken, observers, found, strict=True):
            _observe(observer, array, names[value], place)
        told(1)
    measured = {
        names[value]: statistics
        for value, observer in zip(taken, observers, strict=True)
        if (statistics := observer.statistics()) is not None
    }
    return Calibration(measured)


def _observe(observer: Observer, array: Array, name: str, place: int) -> None:
    try:
        observer.update(array)
    except ValueError as error:
        raise SardonyxError(f"batch {place}: value {name!r}: {error}") from error


def kept_calibration(
    model: Model, batches: Batches, second: bool = False, told: Told = unheard
) -> Calibration:
    """As `calibrated`, or what that gave before for the same contents."""
    folder = cache_folder("calibration")
    if folder is None:
        return calibrated(model, batches, second, told)
    kept = folder / f"{_key(model, batches, second)}.npz"
    if kept.exists():
        try:
            return Calibration.load(kept)
        except CalibrationError:
            # Cut off as it was written, or of an older form: measured anew.
            kept.unlink(missing_ok=True)
    found = calibrated(model, batches, second, told)
    write_calibration(found, kept)
    return found


def write_calibration(calibration: Calibration, path: Path) -> None:
    """Write `calibration` to `path` whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        calibration.save(temporary)
        temporary.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise CalibrationError(f"{path}: cannot be written: {reason}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _key(model: Model, batches: Batches, second: bool) -> str:
    digest = hashlib.sha256(f"{batches.hash} {second}".encode())
    digest.update(model.text().encode())
    for key in sorted(used_weights(model)):
        digest.update(model.context.store[key].hash.encode())
    return digest.hexdigest()
