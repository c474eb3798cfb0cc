"""What `quantize` and `sparsify` share: their options, their data, what they write."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ...passes.quantize.calibration import Calibration
from ..compression.plans import Plan
from ..driver import compile_model, load, specialize
from ..inputs import input_specs
from ..model import Model
from ..opt import write_onnx
from ..pipelines import LOWERING, run_pipeline, spec_of
from ..quantize.calibrate import kept_calibration, write_calibration
from ..quantize.data import Batches, DataError, read_batches
from ..show import stepping

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="A .onnx file, or a folder.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--calibrate",
        metavar="FILE",
        help="Data: an .npz, a folder of them, or a .py file with batches(), which is "
        "executed.",
    ),
]
ExcludeOption = Annotated[
    list[str] | None, typer.Option(metavar="NODE", help="Leave these as they are.")
]


@dataclass
class Calibrations:
    """Measures a model before each stage of a plan, once, and keeps the files."""

    data: Batches | None
    output: Path
    measured: dict[int, Path] = field(default_factory=dict[int, Path])
    """Of each stage: the stages before it always do the same."""

    def measure(self, model: Model, second: bool, place: int) -> Path:
        """The calibration of `model` for the stage of number `place`, as a file."""
        if place not in self.measured:
            assert self.data is not None, "`data_for` read it for such a plan"
            with stepping("calibrating", len(self.data)) as told:
                found = kept_calibration(model, self.data, second, told)
            self.measured[place] = self._keep(found, place)
        return self.measured[place]

    def _keep(self, calibration: Calibration, place: int) -> Path:
        stem = self.output.with_suffix("") if self.output.suffix else self.output
        number = f"-{place}" if place else ""
        path = stem.with_name(f"{stem.name}.calibration{number}.npz")
        write_calibration(calibration, path)
        return Path(os.path.relpath(path))

    def first_batch(self, names: Sequence[str]) -> dict[str, Any] | None:
        """The inputs called so in the first batch; None without data."""
        if self.data is None:
            return None
        batch = next(iter(self.data))
        return {name: batch[name] for name in names}


def optimized(path: Path, level: str, sizes: dict[str, int]) -> Model:
    """The model at `path` after the passes of a level, with `sizes` of dimensions."""
    model = load(path)
    if sizes:
        specialize(model, sizes)
    run_pipeline(model, spec_of(level))
    return model


def data_for(plan: Plan, path: Path | None, model: Model, what: str) -> Batches | None:
    """The data at `path`; DataError where `plan` needs some and there is none."""
    if path is not None:
        return read_batches(path, input_specs(model))
    if plan.calibrates:
        raise DataError(f"found no data for this {what}, wanted --calibrate FILE")
    return None


def write(model: Model, goal: Path, backend: str) -> None:
    """Write `model` as ONNX or, where `goal` is no such file, as an artifact."""
    if goal.suffix == ".onnx":
        write_onnx(model, goal, False)
        return
    lowering = ",".join(LOWERING.get(backend, ()))
    compile_model(model, backend, lowering).save(goal)
