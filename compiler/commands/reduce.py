"""``sardonyx reduce``: the smallest model that still shows a fault, in a folder."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...dialects.errors import SardonyxError
from ..arguments import Level, parse_dims, pipeline_of
from ..show import printable, show, telling, working
from .bisect import (
    FormOption,
    Judging,
    ScriptOption,
    ToleranceOption,
    guard_words,
    opened,
)
from .options import (
    DimOption,
    InputOption,
    ModelPath,
    PassesOption,
    PluginOption,
    Runner,
    RunnerOption,
    SeedOption,
)

if TYPE_CHECKING:
    from ..debug.bisect import Culprit
    from ..debug.reproducer import Reproducer
    from ..debug.search import Judge
    from ..debug.subgraph import Case
    from ..model import Model

Shows = Callable[["Case"], bool]


def reduce(
    model: ModelPath,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder to write, a new one.")
    ],
    level: Annotated[
        Level | None, typer.Option("-O", help="How much to optimize: 2 unless given.")
    ] = None,
    passes: PassesOption = None,
    plugin: PluginOption = None,
    tolerance: ToleranceOption = None,
    crash: Annotated[
        bool, typer.Option("--crash", help="Look for a crash, not for wrong results.")
    ] = False,
    script: ScriptOption = None,
    form: FormOption = "onnx",
    runner: RunnerOption = Runner.numpy,
    inputs: InputOption = None,
    dim: DimOption = None,
    seed: SeedOption = 0,
) -> None:
    """
    Write the smallest part of MODEL that still shows a wrong result, a crash or what a
    script finds. With --script and no pipeline the model itself is judged.
    """
    from ..debug.trial import Inputs

    if crash and script is not None:
        raise typer.BadParameter("found --crash and --script, wanted one of them")
    if output.exists():
        raise SardonyxError(f"{output}: found it there, wanted a new folder")
    sizes = parse_dims(dim)
    given = Inputs(tuple(inputs or ()), seed, sizes)
    judging = Judging(given, tolerance, runner.value, script, form)
    as_it_is = script is not None and level is None and passes is None
    pipeline = "" if as_it_is else pipeline_of(level or Level.O2, passes)
    with working(f"reducing {model}") as status:
        found = _Reduction(opened(model, sizes), judging, telling(status))
        reproducer = found.run(pipeline, crash)
        folder = reproducer.write(output)
    show(f"{printable(reproducer.title)}")
    show(f"wrote {folder}: {found.summary}")
    show(f"replay it: sh {folder / 'replay.sh'}")


class _Reduction:
    def __init__(
        self, model: Model, judging: Judging, tell: Callable[[str], object]
    ) -> None:
        self.model, self.judging, self.tell = model, judging, tell
        self.summary = ""

    def run(self, pipeline: str, crash: bool) -> Reproducer:
        """What shows the fault, at its smallest."""
        if not pipeline:
            judge = self.judging(self.model, self.model)
            return self._of_script(self.model, "", judge)
        culprit = self._culprit(pipeline, crash)
        if self.judging.script is not None and not culprit.crashed:
            judge = self.judging(culprit.before, culprit.before)
            return self._of_script(culprit.before, culprit.spec, judge, culprit)
        if culprit.crashed:
            return self._of_crash(culprit)
        return self._of_wrong_result(culprit)

    def _culprit(self, pipeline: str, crash: bool) -> Culprit:
        from ..debug.bisect import bisect
        from ..debug.trial import Verdict

        def right(model: Model) -> Verdict:
            return Verdict(True)

        def always_right(first: Model, last: Model) -> Judge:
            return right

        judge = always_right if crash else self.judging
        found = bisect(self.model, pipeline, judge, self.tell)
        if found is None:
            fault = "a crash" if crash else "a wrong result"
            raise SardonyxError(
                f"reduce: found no pass of {pipeline} that breaks it, wanted {fault}"
            )
        return found

    def _of_wrong_result(self, culprit: Culprit) -> Reproducer:
        from ..debug.reduce import WrongResult
        from ..debug.reproducer import Reproducer
        from ..debug.search import applied
        from ..debug.subgraph import Case
        from ..debug.trial import Trial

        judging = self.judging
        shows = WrongResult(
            culprit.spec,
            judging.tolerance,
            judging.runner,
            culprit.wrong.worst is None,
        )
        assert judging.arrays is not None, "values were compared"
        start = Case(culprit.before, judging.arrays)
        case, form = self._reduced(start, shows, culprit)
        assert case.inputs is not None, "it began with inputs"
        trial = Trial.of(case.model, case.inputs, judging.tolerance, judging.runner)
        verdict, values = trial.run(applied(case.model, culprit.spec))
        compared = None
        if values is not None:
            compared = trial.wanted.outputs, values.outputs
        return Reproducer(
            f"pass {culprit.spec}: {verdict}",
            case.model,
            culprit.spec,
            form,
            case.inputs,
            compared,
            shlex.join(guard_words(judging)),
            details=_details(culprit),
        )

    def _of_crash(self, culprit: Culprit) -> Reproducer:
        import traceback

        from ..debug.reduce import Crash, crash_of
        from ..debug.reproducer import Reproducer
        from ..debug.search import crash_text
        from ..debug.subgraph import Case

        error = crash_of(culprit.before, culprit.spec)
        if error is None:
            raise SardonyxError(
                f"reduce: pass {culprit.spec} does not crash when run again"
            )
        shows = Crash(culprit.spec, type(error).__name__)
        case, form = self._reduced(Case(culprit.before, None), shows, culprit)
        error = crash_of(case.model, culprit.spec) or error
        return Reproducer(
            f"pass {culprit.spec}: {crash_text(error)}",
            case.model,
            culprit.spec,
            form,
            trace="".join(traceback.format_exception(error)),
            details=_details(culprit),
        )

    def _of_script(
        self, model: Model, spec: str, judge: Judge, culprit: Culprit | None = None
    ) -> Reproducer:
        from ..debug.reduce import Judged
        from ..debug.reproducer import Reproducer
        from ..debug.subgraph import Case

        judging = self.judging
        case, _ = self._reduced(Case(model, None), Judged(judge, spec), culprit)
        return Reproducer(
            f"{'pass ' + spec if spec else 'the model'}: the script finds it wrong",
            case.model,
            spec,
            judging.form,
            script=judging.script or "",
            details=_details(culprit) if culprit is not None else (),
        )

    def _reduced(
        self, start: Case, shows: Shows, culprit: Culprit | None
    ) -> tuple[Case, str]:
        """The smallest case, and the form in which a file of it shows the fault too."""
        from ..debug.reduce import Reducer
        from ..debug.subgraph import body_ops

        reducer = Reducer(shows, self.tell)
        rewrites = () if culprit is None else culprit.rewrites
        case = reducer.reduce(start, rewrites, shown=culprit is not None)
        count = len(body_ops(case.model))
        before = len(body_ops(start.model))
        of = f"{count} of {before} ops are left"
        self.summary = f"{of}; {reducer.checks} candidates tried"
        return case, "onnx" if _survives_export(case, shows) else "mlir"


def _survives_export(case: Case, shows: Shows) -> bool:
    """Whether the model shows the fault when it has been exported and read again."""
    from ..debug.subgraph import Case
    from ..exporter import export_model
    from ..importer import import_model

    with tempfile.TemporaryDirectory(prefix="sardonyx-") as folder:
        path = Path(folder) / "model.onnx"
        try:
            export_model(case.model.clone(), path)
            return shows(Case(import_model(path), case.inputs))
        except SardonyxError:
            # What ONNX cannot say is written as IR.
            return False


def _details(culprit: Culprit) -> tuple[str, ...]:
    """What bisect found, for the README."""
    number = f"rewrite {culprit.number} of {culprit.total}"
    rewrites = [f"{number} in the whole model: {one}" for one in culprit.rewrites]
    before = ",".join(culprit.passes_before) or "none"
    ran = f"passes that ran before it on the whole model: {before}"
    return (*rewrites, ran, *culprit.notes)
