"""
What the cost model learns from, how well it predicts, and what it ships.

    python tests/bench/cost_model.py collect jax  writes build/jax.jsonl
    python tests/bench/cost_model.py merge build/jax.jsonl
                                                  writes tests/bench/measurements
    python tests/bench/cost_model.py evaluate     writes docs/cost-model.md
    python tests/bench/cost_model.py train        writes compiler/cost/model.safetensors

`collect` measures programs of the shared models, of make_light.py's classifiers and of
models and parts drawn at random (cost_subjects.py) on one backend; it goes on where it
was stopped. `merge` puts what it measured in the place of what was there of the same
programs: where a kernel has changed, those families are collected anew (`--family`).
What is there was measured on one machine in 32 rounds; on NumPy most real models whose
programs differ by a few parts in a hundred in four times as many (`--family bert
--seconds 4 --rounds 128`): of 66 pairs of MiniLM's programs 9 were in a certain order
after 32 rounds, 1 after 128. `evaluate` holds out families of real models, five times
with other seeds; what was drawn only ever helps to train.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cost_scores import (
    BOTH,
    FOLDS,
    NOISE,
    SEEDS,
    SURE,
    Held,
    by_model,
    certain,
    is_real,
    kendall,
    rows_of,
)
from cost_subjects import DRAWN, REAL_MOST, SHARED, everything
from safetensors.numpy import save
from sardonyx.compiler.arguments import write_whole
from sardonyx.compiler.cost.choose import LEAST_GAIN
from sardonyx.compiler.cost.dataset import (
    ROUNDS,
    Machine,
    Subject,
    collect,
    this_machine,
)
from sardonyx.compiler.cost.learned import SHIPPED, CostModel
from sardonyx.compiler.cost.measurements import (
    Measurement,
    line_of,
    read_measurements,
)
from sardonyx.compiler.cost.training import train
from sardonyx.compiler.show import counting, show, stepping

ROOT = Path(__file__).parents[2]
DATA = Path(__file__).parent / "measurements"
PAGE = ROOT / "docs" / "cost-model.md"
BACKENDS = ("numpy", "jax")


# --- collecting ---


def run_collect(options: argparse.Namespace) -> None:
    path: Path = options.output or ROOT / "build" / f"{options.backend}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    # What is merged into the others is to be measured by their rates.
    kept = (DATA / f"{options.backend}.jsonl.gz", path)
    there = [one for file in kept if file.exists() for one in read_measurements(file)]
    with tempfile.TemporaryDirectory() as made:
        light = options.light or Path(made)
        if options.light is None:
            script = [sys.executable, str(SHARED / "make_light.py"), made]
            subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        asked = [
            one
            for one in everything(light)
            if not options.family or one.family.removeprefix(DRAWN) in options.family
        ]
        machine = this_machine([options.backend], there)
        found = (one.subjects(options.backend) for one in asked)
        with stepping("measuring", len(asked)) as advance:
            _collect(path, found, machine, options, advance)


def _collect(
    path: Path,
    groups: Iterable[Iterable[Subject]],
    machine: Machine,
    options: argparse.Namespace,
    advance: Callable[[int], object],
) -> None:
    models = set[str]()
    for one in collect(path, groups, machine, options.seconds, options.rounds):
        if one.model not in models:
            models.add(one.model)
            advance(1)
            show(f"{one.model} {1e3 * one.seconds:.3g} ms")


def run_merge(options: argparse.Namespace) -> None:
    new = [one for path in options.measured for one in read_measurements(path)]
    for backend in BACKENDS:
        mine = [one for one in new if one.backend == backend]
        if not mine:
            continue
        path: Path = options.into / f"{backend}.jsonl.gz"
        there = read_measurements(path) if path.exists() else []
        text = "".join(map(line_of, merged(there, mine)))
        # Without the time of day: the same measurements are the same file.
        write_whole(path, gzip.compress(text.encode(), mtime=0))
        known = len({one.key for one in there} & {one.key for one in mine})
        show(f"wrote {path}: {len(mine)} programs, {known} of them in others' place")


def merged(
    there: Sequence[Measurement], new: Sequence[Measurement]
) -> list[Measurement]:
    """Those of `there`, as they are in `new` if they are, and what is new."""
    return list({one.key: one for one in (*there, *new)}.values())


# --- evaluating ---

HEAD = f"""# The cost model

Written by `python tests/bench/cost_model.py evaluate` from the measurements in
tests/bench/measurements. Families of real models are held out, in {FOLDS} folds; the
numbers are means over {SEEDS} seeds, and the ends. Models and parts of models drawn
at random (tests/bench/cost_subjects.py) help to train and are not asked about. `both`
is a mean of the trees over ops and the process over programs, weighted as it was best
for families held out in training; for a model's other pipelines it is what they gain
on -O2, the mean of what the trees, that process and another one of gains alone say.
The network reads the program's text and is not shipped.
"""
COLUMNS = (
    "| backend | predicted by | models within 20 % | median error | "
    "Kendall's tau of pipelines | regret | fair regret |"
)


def run_evaluate(options: argparse.Namespace) -> None:
    measurements = read_all()
    lines = [HEAD]
    lines += _counts(measurements)
    lines += ["", COLUMNS, "| --- " * 7 + "|"]
    firsts: dict[str, Held] = {}
    with stepping("holding out families", SEEDS * len(BACKENDS)) as advance:
        for backend in BACKENDS:
            mine = [one for one in measurements if one.backend == backend]
            lines += rows_of(mine, options.network, advance, firsts)
    lines += ["", _foot(measurements)]
    lines += _per_model(measurements, firsts)
    text = "\n".join(lines) + "\n"
    write_whole(options.output, text)
    show(text)


def _foot(measurements: Sequence[Measurement]) -> str:
    """What the columns mean."""
    counts = sorted({len(m.rounds) for m in measurements if is_real(m)})
    turns = ", ".join(f"{certain(count)} of {count}" for count in counts)
    return f"""A model's latency is that of its -O2 program. Tau is over the pairs of a
model's pipelines whose order is certain: their times differ by more than {NOISE:.0%},
and one was the faster in so many of the rounds in which they took turns
({turns}) that a sign test gives at most {SURE:.0%}. Regret is
what the pipeline chosen takes beyond the fastest of all that were measured (every one
of a space of at most {REAL_MOST["numpy"]}, on JAX {REAL_MOST["jax"]}); it is the
one predicted fastest, or -O2 where that is predicted to gain less than
{LEAST_GAIN:.0%}, as -O3 chooses. The least of many noisy times is less than what any
program takes, so a perfect choice would have regret, too. Fair regret has none of that:
one half of the rounds says which program is the fastest, the other how fast that is.
"""


def _counts(measurements: Sequence[Measurement]) -> list[str]:
    machines = sorted({one.machine for one in measurements})
    found: list[str] = [f"Measured on {'; '.join(machines)}.", ""]
    for backend in BACKENDS:
        mine = [one for one in measurements if one.backend == backend]
        real = list(filter(is_real, mine))
        models = len({one.model for one in real})
        ops = len({op for one in mine for op in one.ops})
        found.append(
            f"- {backend}: {len(mine)} programs with {ops} different ops; {len(real)} "
            f"are of {models} real models (at several sizes)."
        )
    return found


def _per_model(
    measurements: Sequence[Measurement], firsts: Mapping[str, Held]
) -> list[str]:
    """A table of the real models, by what held-out models say with seed 0."""
    lines = [
        "| model | backend | measured ms | predicted / measured | pipelines | tau |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for backend in BACKENDS:
        mine = [one for one in measurements if one.backend == backend]
        held = firsts[backend]
        real = list(filter(is_real, mine))
        for name, programs in by_model(real).items():
            taken = [one.seconds for one in programs]
            said = [held.said[BOTH][one.key] for one in programs]
            tau = kendall(programs, said)
            lines.append(
                f"| {name} | {backend} | {1e3 * taken[0]:.3g} | "
                f"{said[0] / taken[0]:.2f} | {len(programs)} | "
                f"{'' if tau is None else format(tau, '.2f')} |"
            )
    return lines


# --- training ---


def read_all() -> list[Measurement]:
    """What is in tests/bench/measurements, file by file."""
    return [
        one for path in sorted(DATA.glob("*.jsonl*")) for one in read_measurements(path)
    ]


def run_train(options: argparse.Namespace) -> None:
    measurements = read_all()
    with counting("training") as report:
        models = {}
        for place, backend in enumerate(BACKENDS):
            report(backend, place, len(BACKENDS))
            models[backend] = train([m for m in measurements if m.backend == backend])
    write_whole(options.output, save(CostModel(models).arrays()))
    show(f"wrote {options.output} ({options.output.stat().st_size >> 10} KiB)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("collect")
    one.add_argument("backend", choices=BACKENDS)
    one.add_argument("--family", action="append", help="of models, this alone")
    one.add_argument("--light", type=Path)
    one.add_argument("--seconds", type=float, default=1.0)
    one.add_argument("--rounds", type=int, default=ROUNDS)
    one.add_argument("-o", "--output", type=Path)
    one.set_defaults(run=run_collect)
    one = commands.add_parser("merge")
    one.add_argument("measured", type=Path, nargs="+", help="what `collect` wrote")
    one.add_argument("--into", type=Path, default=DATA)
    one.set_defaults(run=run_merge)
    one = commands.add_parser("evaluate")
    one.add_argument("--network", type=int, default=SEEDS, help="seeds that train it")
    one.add_argument("-o", "--output", type=Path, default=PAGE)
    one.set_defaults(run=run_evaluate)
    one = commands.add_parser("train")
    one.add_argument("-o", "--output", type=Path, default=SHIPPED)
    one.set_defaults(run=run_train)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
