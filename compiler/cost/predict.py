"""What programs are expected to take on this machine: the model, and its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...passes.analysis.targets import Rates, Target
from ..driver import Executable
from .calibrate import host_target
from .dataset import program_facts
from .facts import OpFacts
from .learned import BackendModel, shipped_cost_model
from .roofline import Prediction, program_roofline
from .search import Predict


def predictor(backend: str, sizes: Mapping[str, int] | None = None) -> Predict:
    """
    A function that predicts programs of a backend at `sizes` of their free dimensions.

    By the shipped model and what this host reaches; by the roofline alone where the
    model does not know the backend. The programs are of one model: what the first is,
    -O2's, the others are variants of.
    """
    rates = _rates(host_target(), backend)
    model = shipped_cost_model().backends.get(backend)
    plain: tuple[OpFacts, ...] = ()

    def predict(program: Executable) -> Prediction:
        nonlocal plain
        ops = program_facts(program, sizes)
        found = prediction(ops, rates, model, plain)
        plain = plain or ops
        return found

    return predict


def prediction(
    ops: Sequence[OpFacts],
    rates: Rates,
    model: BackendModel | None,
    plain: Sequence[OpFacts] = (),
) -> Prediction:
    """What a call of a program of `ops` is expected to take, a variant of `plain`."""
    if model is not None:
        return model.predict(ops, rates, plain)
    line = program_roofline(ops, rates)
    return Prediction(line, line, line, line, "no model of this backend")


def _rates(target: Target, backend: str) -> Rates:
    """What the backend's programs reach; where that was not measured, the peaks."""
    found = target.backends.get(backend)
    if found is not None:
        return found
    engine = target.engines[0]
    return Rates(
        flops=engine.flops["float32"],
        bandwidth=engine.bandwidth,
        cache_bandwidth=engine.bandwidth,
        cache_bytes=0.0,
        transcendentals=engine.flops["float32"] / 64,
        launch_seconds=engine.launch_seconds,
        call_seconds=engine.launch_seconds,
    )
