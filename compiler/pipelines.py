"""The pipelines: what -O0 … -O3 run, and how a pipeline is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from xdsl.passes import ModulePass, PassPipeline
from xdsl.universe import Universe
from xdsl.utils.arg_spec import parse_pipeline as parse_pipeline_spec
from xdsl.utils.exceptions import ArgSpecParseError, VerifyException

from ..dialects.errors import SardonyxError
from .model import Model

CLEAN = ("fold-constants", "remove-identities", "cse", "dce")
FUSE = ("fold-batch-norm",)

PIPELINES: dict[str, tuple[str, ...]] = {
    "O0": (),
    "O1": CLEAN,
    "O2": (*CLEAN, *FUSE, "dce"),
    "O3": (*CLEAN, *FUSE, "dce"),
}
"""The passes of each optimization level, in order. -O3 has nothing more yet."""


class PipelineError(SardonyxError):
    """A pipeline that cannot be read, or that does not fit the model."""


@dataclass(frozen=True)
class PassRun:
    """What one pass did: its spec, its time, and the ops before and after."""

    spec: str
    seconds: float
    ops_before: int
    ops_after: int


def spec_of(pipeline: str) -> str:
    """The spec that `pipeline` (a level such as ``O2``, or a spec) stands for."""
    return ",".join(PIPELINES.get(pipeline, (pipeline,)))


def all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Every pass that a pipeline may name: xDSL's, ours, and other packages'."""
    return Universe.get_multiverse().all_passes


def parse_pipeline(spec: str) -> tuple[ModulePass, ...]:
    """
    The passes of a spec such as ``cse,specialize-dims{dims="batch=1"}``.

    Raises PipelineError that names the unknown pass or option.
    """
    if not spec:
        return ()
    known = all_passes()
    try:
        for one in parse_pipeline_spec(spec):
            if one.name not in known:
                raise PipelineError(
                    f"pipeline {spec!r}: found pass {one.name!r}, wanted one that "
                    "`sardonyx passes` lists"
                )
        return PassPipeline.parse_spec(known, spec).passes
    except ArgSpecParseError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise PipelineError(f"pipeline {spec!r}: {reason}") from error
    except Exception as error:
        # xDSL reports an unknown pass or option as a bare Exception.
        if type(error) not in (Exception, ValueError):
            raise
        raise PipelineError(f"pipeline {spec!r}: {_first_line(error)}") from error


def run_pipeline(model: Model, pipeline: str) -> list[PassRun]:
    """Run a level or spec on `model` in place, verifying after each pass."""
    runs: list[PassRun] = []
    for one in parse_pipeline(spec_of(pipeline)):
        before, start = count_ops(model), time.perf_counter()
        one.apply(model.context, model.module)
        try:
            model.module.verify()
        except VerifyException as error:
            raise AssertionError(
                f"pass {one.name} left a module that does not verify: {error}"
            ) from error
        seconds = time.perf_counter() - start
        spec = str(one.pipeline_pass_spec())
        runs.append(PassRun(spec, seconds, before, count_ops(model)))
    return runs


def count_ops(model: Model) -> int:
    """How many ops the model has, constants and absent values aside."""
    quiet = ("onnx.Constant", "onnx.none", "onnx.yield", "func.return")
    return sum(op.name not in quiet for op in model.main.body.walk())


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
