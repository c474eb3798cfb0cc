"""``sardonyx bisect``: the pass, and the rewrite, that breaks a model."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..arguments import Level, fraction, parse_dims, pipeline_of
from ..show import print_json, printable, show, telling, working
from .options import (
    DimOption,
    InputOption,
    JsonOption,
    LevelOption,
    ModelPath,
    PassesOption,
    PluginOption,
    Runner,
    RunnerOption,
    SeedOption,
)

if TYPE_CHECKING:
    from ..debug.bisect import Culprit
    from ..debug.search import Judge
    from ..debug.trial import Inputs
    from ..model import Model

ToleranceOption = Annotated[
    float | None,
    typer.Option(
        "--tol",
        parser=fraction,
        metavar="X",
        help="max|a-b|/max|b| that is right (float32: 1e-4).",
    ),
]
ScriptOption = Annotated[
    str | None,
    typer.Option(
        metavar="CMD",
        help="Judge by a command: {} is a candidate's file; exit 0 says right, 125 "
        "cannot tell, any other wrong.",
    ),
]
FormOption = Annotated[
    str,
    typer.Option(
        "--form",
        metavar="onnx|mlir",
        help="What --script is given: the candidate exported, or its IR.",
    ),
]


@dataclass
class Judging:
    """Makes the judge of candidates that the options ask for, and keeps its inputs."""

    inputs: Inputs
    tolerance: float | None
    runner: str
    script: str | None
    form: str
    arrays: dict[str, Any] | None = None

    def __call__(self, first: Model, last: Model) -> Judge:
        """The judge, where passes make `last` of `first`."""
        from ..debug.bisect import FORMS, Script
        from ..debug.trial import Trial

        if self.script is not None:
            if self.form not in FORMS:
                found = f"found {self.form!r}, wanted {' or '.join(FORMS)}"
                raise typer.BadParameter(f"--form: {found}")
            return Script(self.script, self.form)
        self.arrays = self.inputs.of(first, last)
        return Trial.of(first, self.arrays, self.tolerance, self.runner)


def bisect(
    model: ModelPath,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    plugin: PluginOption = None,
    tolerance: ToleranceOption = None,
    script: ScriptOption = None,
    form: FormOption = "onnx",
    runner: RunnerOption = Runner.numpy,
    inputs: InputOption = None,
    dim: DimOption = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """
    Find the first pass, and in it the rewrite, that breaks MODEL; exit 1 if one does.
    """
    from ..debug.bisect import as_json as described
    from ..debug.bisect import bisect as search
    from ..debug.trial import Inputs

    sizes, pipeline = parse_dims(dim), pipeline_of(level, passes)
    given = Inputs(tuple(inputs or ()), seed, sizes)
    judging = Judging(given, tolerance, runner.value, script, form)
    with working(f"bisecting {model}") as status:
        start = opened(model, sizes)
        found = search(start, pipeline, judging, telling(status))
    replay = "" if found is None else replay_of(found, model, judging)
    if as_json:
        culprit = None if found is None else {**described(found), "replay": replay}
        print_json({"ok": found is None, "culprit": culprit})
    elif found is None:
        show(f"{model}: no pass of {printable(pipeline)} breaks it")
    else:
        print_culprit(found)
        show(f"replay   {replay}")
    if found is not None:
        raise typer.Exit(1)


def opened(path: Path, sizes: dict[str, int]) -> Model:
    """The model at a path, its symbolic dimensions given their sizes."""
    from ..driver import load, specialize

    model = load(path)
    if sizes:
        specialize(model, sizes)
    return model


def print_culprit(found: Culprit) -> None:
    """The pass and the rewrite to blame, in lines."""
    crashed = " crashes" if found.crashed else ""
    show(f"pass     {printable(found.spec)}, place {found.place}{crashed}")
    for rewrite in found.rewrites:
        where = f"{found.number} of {found.total}: {rewrite}"
        show(f"rewrite  {printable(where)}")
    if not found.rewrites and not found.notes and not found.crashed:
        show("rewrite  unknown: the pass notes none in its journal")
    show(f"before   {printable(str(found.right))}")
    show(f"after    {printable(str(found.wrong))}")
    for note in found.notes:
        show(f"note     {note}")


def replay_of(found: Culprit, path: Path, judging: Judging) -> str:
    """The command that shows what was found: `opt` up to the pass, guarded."""
    from ..debug.reproducer import plugin_words

    specs = [*found.passes_before, found.spec]
    if judging.inputs.sizes:
        entries = ",".join(f'"{n}={s}"' for n, s in judging.inputs.sizes.items())
        specs.insert(0, f"specialize-dims{{dims={entries}}}")
    pipeline = ",".join(specs)
    words = ["sardonyx", "opt", str(path), "-p", pipeline, *plugin_words(pipeline)]
    if judging.script is not None:
        goal = f"judged.{judging.form}"
        script = judging.script.replace("{}", goal)
        return f"{shlex.join([*words, '-o', goal])} && {script}"
    if not found.crashed:
        words += guard_words(judging)
        for entry in judging.inputs.files:
            words += ["-i", entry]
        if judging.inputs.seed:
            words += ["--seed", str(judging.inputs.seed)]
    return shlex.join(words)


def guard_words(judging: Judging) -> list[str]:
    """The options by which `opt` compares as `judging` did."""
    tolerance = judging.tolerance
    words = ["--guard" if tolerance is None else f"--guard={tolerance:g}"]
    if judging.runner != Runner.numpy.value:
        words += ["--guard-with", judging.runner]
    return words
