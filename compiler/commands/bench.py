"""``sardonyx bench``: our programs timed beside other runtimes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from ...dialects.errors import SardonyxError
from ..arguments import Level, fraction, natural, parse_dims, pipeline_of, positive
from ..show import counting, first_line, out, print_json, printable, show
from .options import (
    DimOption,
    JsonOption,
    LevelOption,
    PassesOption,
    RefuseBudgetOption,
    RefuseOption,
    SeedOption,
    refuses,
)

if TYPE_CHECKING:
    from ..bench.comparison import Contest, ModelResult, Row
    from ..bench.protocol import Report
    from ..debug.refuse import Refusal

LEAST_ROUNDS = 4

NUMBERS = (
    "median ms",
    "p10 - p90",
    "ratio",
    "low - high",
    "of p10",
    "first s",
    "error",
    "peak MiB",
)

QUIET = 0.1
"""How many cores other programs may use before the times are called noisy."""


def at_least_four(given: object) -> int:
    """A whole number of rounds."""
    return natural(given, LEAST_ROUNDS)


def bench(
    model: Annotated[
        Path, typer.Argument(help="An .onnx file, or a folder of .onnx files.")
    ],
    backend: Annotated[
        str, typer.Option("--backend", "-b", help="Ours: numpy, jax, both, or none.")
    ] = "numpy,jax",
    against: Annotated[
        str,
        typer.Option(
            "--vs",
            help="Peers: onnxruntime, openvino, reference, jaxonnxruntime, or none.",
        ),
    ] = "onnxruntime,openvino",
    artifacts: Annotated[
        list[Path] | None,
        typer.Option("--artifact", metavar="DIR", help="Time this artifact, too."),
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            parser=positive, metavar="N", help="Of everyone; by default all cores."
        ),
    ] = None,
    level: LevelOption = Level.O2,
    passes: PassesOption = None,
    dim: DimOption = None,
    rounds: Annotated[
        int,
        typer.Option(
            parser=at_least_four, metavar="N", help="Blocks of calls of each."
        ),
    ] = 5,
    budget: Annotated[
        float,
        typer.Option(
            parser=fraction, metavar="SECONDS", help="For a model's timed calls."
        ),
    ] = 60.0,
    limit: Annotated[
        float,
        typer.Option(
            parser=fraction, metavar="SECONDS", help="For a contender's first result."
        ),
    ] = 300.0,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    refuse_slower: RefuseOption = None,
    refuse_budget: RefuseBudgetOption = 60.0,
) -> None:
    """
    Time MODEL beside other runtimes at equal threads; exit 1 if ours differ or fail.

    Each contender has a process; while one is timed the others are stopped. A ratio
    above 1 means slower than the first peer; "of p10" is that of the 10th percentiles,
    which other programs disturb least. -O3 first measures which passes to undo, for
    each backend.
    """
    from ..bench.comparison import Contest
    from ..bench.contenders import PEERS
    from ..bench.protocol import Plan
    from ..debug.refuse_table import show_refusal
    from ..driver import BACKENDS
    from ..pipelines import parse_pipeline, spec_of

    paths = models_at(model)
    pipeline = pipeline_of(level, passes)
    parse_pipeline(spec_of(pipeline))
    contest = Contest(
        backends=names_of("--backend", backend, BACKENDS),
        peers=names_of("--vs", against, PEERS),
        artifacts=checked_artifacts(artifacts or []),
        pipeline=pipeline,
        dims=parse_dims(dim),
        threads=checked_threads(threads),
        seed=seed,
        plan=Plan(rounds=rounds, budget_seconds=budget, limit_seconds=limit),
    )
    if not contest.entries(model):
        raise SardonyxError("nobody to time: every contender is absent or none")
    if not as_json:
        show_setting(contest)
    measuring = refuse_budget if refuses(refuse_slower, level, passes) else None
    among_others = len(paths) > 1
    results: list[ModelResult] = []
    refused: dict[str, dict[str, Refusal]] = {}
    for number, path in enumerate(paths):
        what = (
            path.name if len(paths) == 1 else f"{number + 1}/{len(paths)} {path.stem}"
        )
        with counting(what) as report:
            found, measured = one_model(path, contest, report, among_others, measuring)
        results.append(found)
        refused[found.model] = measured
        if not as_json:
            for each, refusal in measured.items():
                show_refusal(refusal, f"{found.model}, the passes for {each}:")
            show_result(found)
    finish(contest, results, as_json, refused)


def one_model(
    path: Path,
    contest: Contest,
    report: Report,
    among_others: bool,
    refuse_budget: float | None,
) -> tuple[ModelResult, dict[str, Refusal]]:
    """
    The result of one model, and what undoing slower passes gave for each backend.

    Nothing is undone without a `refuse_budget`, seconds for each. Among others, a
    model that cannot be read has its reason.
    """
    from ..bench.comparison import ModelResult, bench_model

    measured: dict[str, Refusal] = {}
    try:
        if refuse_budget is not None:
            measured = refusals(path, contest, report, refuse_budget)
        left = {backend: refusal.pipeline for backend, refusal in measured.items()}
        found = bench_model(path, replace(contest, pipelines=left), report)
    except (SardonyxError, OSError) as error:
        if not among_others:
            raise
        found = ModelResult(path.stem, failure=first_line(error))
    return found, measured


def refusals(
    path: Path, contest: Contest, report: Report, budget_seconds: float
) -> dict[str, Refusal]:
    """What is left of the pipeline for each backend where slower passes are undone."""
    from ..debug.refuse import refuse_slower
    from ..debug.trial import Inputs

    return {
        backend: refuse_slower(
            path,
            backend,
            contest.pipeline,
            contest.dims,
            inputs=Inputs(seed=contest.seed),
            budget_seconds=budget_seconds,
            threads=contest.threads,
            report=report,
        )
        for backend in contest.backends
    }


# --- what is asked for ---


def models_at(path: Path) -> list[Path]:
    """The model, or the models in a folder."""
    from ..artifact import is_artifact

    if not path.is_dir():
        return [path]
    if is_artifact(path):
        raise SardonyxError(f"{path}: an artifact: give its model and --artifact")
    found = sorted(path.glob("*.onnx"))
    if not found:
        raise SardonyxError(f"{path}: found no .onnx file in this folder")
    return found


def names_of(option: str, given: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names in a list with commas; none of them for ``none``."""
    if given == "none":
        return ()
    names = [name.strip() for name in given.split(",")]
    for name in names:
        if name not in known:
            wanted = ", ".join(known)
            raise SardonyxError(f"{option}: found {name!r}, wanted {wanted} or none")
    return tuple(dict.fromkeys(names))


def checked_artifacts(folders: Sequence[Path]) -> tuple[Path, ...]:
    """The folders; SardonyxError for one that is no artifact."""
    from ..artifact import is_artifact

    for folder in folders:
        if not is_artifact(folder):
            raise SardonyxError(f"--artifact: {folder}: no manifest.json and model.py")
    return tuple(dict.fromkeys(folders))


def checked_threads(given: int | None) -> int:
    """How many threads everyone gets: all cores, or fewer."""
    from ..bench.machine import describe_machine

    cores = describe_machine().cores
    if given is not None and given > cores:
        wanted = f"at most {cores}, the cores that this process may use"
        raise SardonyxError(f"--threads: found {given}, wanted {wanted}")
    return given or cores


# --- what is said ---


def show_setting(contest: Contest) -> None:
    """The machine, the versions, the protocol, and who is absent."""
    from ..bench.machine import describe_machine, describe_versions

    machine, plan = describe_machine(), contest.plan
    memory = machine.memory_bytes
    parts = [
        f"{machine.processor}: {machine.cores} cores",
        " ".join(machine.flags),
        "" if memory is None else f"{memory / 2**30:.0f} GiB",
        machine.system,
        "" if machine.load is None else f"load {machine.load}",
    ]
    show(", ".join(part for part in parts if part))
    versions = describe_versions()
    there = [f"{name} {number}" for name, number in versions.items() if number]
    show(", ".join([f"python {machine.python}", *there]))
    show(
        f"threads of each: {contest.threads}, the others stopped; {plan.rounds} rounds "
        f"of {plan.calls} calls or more, the first {plan.dropped} dropped"
    )
    for line in contest.absent:
        show(line)


def show_result(result: ModelResult) -> None:
    """A model's table."""
    if result.failure is not None:
        show(f"{printable(result.model)}: {printable(result.failure)}")
        return
    table = Table(box=None)
    for column in ("model", "contender"):
        table.add_column(column, overflow="fold")
    for column in NUMBERS:
        # On a narrow terminal what spreads over two words takes two lines.
        table.add_column(column, justify="right", overflow="fold")
    table.add_column("", overflow="fold")
    for row in result.rows:
        table.add_row(escape(printable(result.model)), *cells(row))
    out.print(table)
    if result.peer is not None:
        show(f"ratios are to {result.peer}, errors beside {result.judge}")
    if result.note is not None:
        show(printable(result.note))
    if result.others is not None and result.others > QUIET:
        show(f"noisy: other programs kept {result.others:.1f} cores busy meanwhile")


def cells(row: Row) -> list[str]:
    """A row's cells, from the contender on."""
    name = escape(printable(row.contender))
    if row.failure is not None:
        return [
            name,
            *[""] * len(NUMBERS),
            f"[red]{escape(printable(row.failure))}[/red]",
        ]
    s, r = row.summary, row.ratio
    assert s is not None, "who did not fail was timed"
    notes: list[str] = []
    if row.agrees is False:
        notes.append(f"[red]WRONG: error over {row.tolerance:.1g}[/red]")
    if row.cut:
        notes.append(f"budget: {row.rounds} x {row.calls} calls")
    first, peak = row.first_result_seconds, row.peak_bytes
    return [
        name,
        milliseconds(s.median_seconds),
        f"{milliseconds(s.p10_seconds)} - {milliseconds(s.p90_seconds)}",
        "" if r is None else f"{r.median:.2f}",
        "" if r is None else f"{r.low:.2f} - {r.high:.2f}",
        "" if row.ratio_p10 is None else f"{row.ratio_p10:.2f}",
        "" if first is None else f"{first:.2f}",
        "" if row.error is None else f"{row.error:.1g}",
        "" if peak is None else f"{peak / 2**20:.0f}",
        "; ".join(notes),
    ]


def milliseconds(seconds: float) -> str:
    """Three digits or more."""
    return f"{1e3 * seconds:.3g}" if seconds < 1 else f"{1e3 * seconds:.0f}"


def finish(
    contest: Contest,
    results: Sequence[ModelResult],
    as_json: bool,
    refused: Mapping[str, Mapping[str, Refusal]],
) -> None:
    """The document or the means; exit 1 if something of ours failed, or differs."""
    from ..bench.comparison import mean_ratios

    means = mean_ratios(results)
    if as_json:
        print_json({**document(contest, results), "refused": told(refused)})
    elif len(results) > 1:
        for name, (mean, count) in means.items():
            models = f"{count} of {len(results)} models"
            show(f"geometric mean of ratios, {name}: {mean:.2f} ({models})")
    if not all(result.ok for result in results):
        raise typer.Exit(1)


def told(refused: Mapping[str, Mapping[str, Refusal]]) -> dict[str, Any]:
    """What was undone of the pipelines of each model and backend, for JSON."""
    return {
        model: {
            backend: {"pipeline": refusal.pipeline, **refusal.as_json()}
            for backend, refusal in measured.items()
        }
        for model, measured in refused.items()
        if measured
    }


def document(contest: Contest, results: Sequence[ModelResult]) -> dict[str, Any]:
    """Everything, for JSON."""
    from ..bench.comparison import mean_ratios
    from ..bench.machine import describe_machine, describe_versions

    return {
        "ok": all(result.ok for result in results),
        "machine": asdict(describe_machine()),
        "versions": describe_versions(),
        "threads": contest.threads,
        "pipeline": contest.pipeline,
        "dims": dict(contest.dims or {}),
        "seed": contest.seed,
        "protocol": asdict(contest.plan),
        "absent": contest.absent,
        "models": [result.as_json() for result in results],
        "geometric_means": {
            name: {"ratio": mean, "models": count}
            for name, (mean, count) in mean_ratios(results).items()
        },
    }
