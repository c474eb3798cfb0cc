"""
What the cost model learns from, how well it predicts, and what it ships.

    python tests/bench/cost_model.py collect      adds to tests/bench/measurements
    python tests/bench/cost_model.py evaluate     writes docs/cost-model.md
    python tests/bench/cost_model.py train        writes compiler/cost/model.safetensors

`collect` measures programs of the shared models, of make_light.py's classifiers and of
models and parts drawn at random (cost_models.py, cost_parts.py); it goes on where it
was stopped. `evaluate` holds out families of real models, five times with other seeds;
what was drawn only ever helps to train.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from cost_models import FAMILIES as NETWORKS
from cost_models import drawn_models
from cost_parts import PARTS
from safetensors.numpy import save
from sardonyx.compiler.arguments import write_whole
from sardonyx.compiler.cost.choose import LEAST_GAIN, preferred
from sardonyx.compiler.cost.dataset import (
    ROUNDS,
    Measurement,
    Subject,
    collect,
    read_measurements,
    settled,
    subjects_of,
    this_machine,
)
from sardonyx.compiler.cost.learned import SHIPPED, CostModel, train
from sardonyx.compiler.cost.roofline import program_roofline
from sardonyx.compiler.cost.sequence import train_sequences
from sardonyx.compiler.driver import load, specialize
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.model import Model
from sardonyx.compiler.show import counting, show, stepping

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "models"
DATA = Path(__file__).parent / "measurements"
PAGE = ROOT / "docs" / "cost-model.md"
BACKENDS = ("numpy", "jax")
SEEDS, FOLDS = 5, 5
NOISE = 0.03
"""
Programs whose times are closer are not ordered: measuring again may swap them.
"""
SURE = 0.05
"""
Nor are those of which it may be chance that one was the faster in most of the rounds in
which they took turns: a sign test gives more than this, of both sides.
"""
DRAWN = "drawn-"
BOTH = "both, as shipped"

FAMILIES = {
    "bert_tiny_dynamic": "bert",
    "bvlc_alexnet": "alexnet",
    "inception_v1": "inception",
    "inception_v2": "inception",
    "minilm_l6": "bert",
    "zfnet512": "alexnet",
}
"""Of models that are of one family; any other is one of its own."""
SIZES: Mapping[str, Sequence[Mapping[str, int]]] = {
    "bert_tiny_dynamic": [{"batch": 1, "seq": 64}],
    "bytelm": [{"batch": 1, "seq": 256}, {"batch": 1, "seq": 32}],
    "magika_v3_3": [{"unk__214": 1}],
    "minilm_l6": [
        {"batch": 1, "seq": 16},
        {"batch": 1, "seq": 128},
        {"batch": 4, "seq": 64},
    ],
}
REAL_MOST = {"numpy": 16, "jax": 8}
DRAWN_MOST = 4
"""Pipelines of a model that are measured: for a real one all of a space that small."""


# --- collecting ---


def real_models(light: Path) -> Iterator[tuple[str, str, Model]]:
    """The models beside the project, at some sizes: name, family, and itself."""
    for path in sorted([*light.glob("*.onnx"), *SHARED.glob("*.onnx")]):
        for sizes in SIZES.get(path.stem, [{}]):
            model = load(path)
            specialize(model, sizes)
            name = " ".join([path.stem, *(f"{k}={v}" for k, v in sizes.items())])
            yield name, FAMILIES.get(path.stem, path.stem), model


def groups(
    models: Iterable[tuple[str, str, Model]],
    most: Mapping[str, int],
    backends: Sequence[str],
) -> Iterator[Iterator[Subject]]:
    for name, family, model in models:
        for backend in backends:
            yield subjects_of(model, name, family, backend, most[backend])


def run_collect(options: argparse.Namespace) -> None:
    DATA.mkdir(exist_ok=True)
    machine = this_machine(BACKENDS, read_all())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        light = options.light or Path(made)
        if options.light is None and options.drawn is None:
            script = [sys.executable, str(SHARED / "make_light.py"), made]
            subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        if options.drawn is None:
            found = groups(real_models(light), REAL_MOST, options.backend)
        else:
            count, seed = options.drawn
            families = PARTS if options.parts else NETWORKS
            drawn = (
                (name, DRAWN + family, import_model(proto))
                for name, family, proto in drawn_models(count, seed, families)
            )
            found = groups(drawn, dict.fromkeys(BACKENDS, DRAWN_MOST), options.backend)
        path = options.output
        for one in collect(path, found, machine, options.seconds):
            spent = time.perf_counter() - start
            show(
                f"{spent:6.0f} s  {one.model} {one.backend} {1e3 * one.seconds:.3g} ms"
            )


# --- evaluating ---

Predicted = Callable[[Measurement], float]


@dataclass(frozen=True)
class Score:
    """How well one way of predicting did on the models held out."""

    within: float
    """The part of models whose -O2 program was predicted to 20 %."""
    error: float
    """The median of |predicted / measured - 1|."""
    tau: float
    """Kendall's, over the pipelines of each model; the mean."""
    regret: float
    """What the pipeline chosen takes over the fastest, less 1; the mean."""
    fair: float
    """The same over the one that half of the rounds call the fastest, by the others."""


def by_model(measurements: Iterable[Measurement]) -> dict[str, list[Measurement]]:
    """The programs of each model, -O2's first."""
    found: dict[str, list[Measurement]] = defaultdict(list)
    for one in measurements:
        found[one.model].append(one)
    return found


def score(measurements: Sequence[Measurement], predicted: Predicted) -> Score:
    errors: list[float] = []
    taus: list[float] = []
    regrets: list[float] = []
    fair: list[float] = []
    for programs in by_model(measurements).values():
        taken = [one.seconds for one in programs]
        said = [predicted(one) for one in programs]
        errors.append(abs(said[0] / taken[0] - 1))
        regrets.append(taken[preferred(said)] / min(taken) - 1)
        fair.append(fair_regret(programs, preferred(said)))
        tau = kendall(programs, said)
        if tau is not None:
            taus.append(tau)
    return Score(
        statistics.mean(error <= 0.2 for error in errors),
        statistics.median(errors),
        statistics.mean(taus) if taus else math.nan,
        statistics.mean(regrets),
        statistics.mean(fair),
    )


def fair_regret(programs: Sequence[Measurement], chosen: int) -> float:
    """
    What the program `chosen` takes over the fastest, less 1, without a winner's luck.

    The least of many noisy times is less than any program takes. So one half of the
    rounds says which is the fastest, and the other half how fast it is; and vice versa.
    """
    halves = [settled([one.rounds[n::2] for one in programs]) for n in range(2)]
    ratios = [
        there[chosen] / there[here.index(min(here))]
        for here, there in itertools.permutations(halves)
    ]
    return statistics.mean(ratios) - 1


def kendall(programs: Sequence[Measurement], said: Sequence[float]) -> float | None:
    """
    Kendall's tau over the pairs whose order is certain, see `NOISE`; None if none.
    """
    agreed = total = 0
    for one, other in itertools.combinations(zip(programs, said, strict=True), 2):
        if order := ordered(one[0], other[0]):
            total += 1
            agreed += order * int(np.sign(one[1] - other[1]))
    return agreed / total if total else None


def ordered(one: Measurement, other: Measurement) -> int:
    """-1 if `one` is certainly the faster, 1 if the slower; 0 if neither is certain."""
    if abs(math.log(one.seconds / other.seconds)) <= math.log1p(NOISE):
        return 0
    order = int(np.sign(one.seconds - other.seconds))
    turns = list(zip(one.rounds, other.rounds, strict=True))
    agreeing = sum(np.sign(a - b) == order for a, b in turns)
    return order if agreeing >= certain(len(turns)) else 0


@cache
def certain(rounds: int) -> int:
    """In how many of so many rounds one must be the faster; `SURE` tells why."""
    chance = 0.0
    for count in range(rounds, 0, -1):
        chance += math.comb(rounds, count) / 2**rounds
        if 2 * chance > SURE:
            return count + 1
    return 1


@dataclass(frozen=True)
class Held:
    """What each way said of a program that it was not trained on."""

    said: dict[str, dict[str, float]]
    """By the way, and the program's key."""
    covered: float


def held_out(measurements: Sequence[Measurement], seed: int, network: bool) -> Held:
    """Predictions of every real program by models that did not see its family."""
    real = [one for one in measurements if not one.family.startswith(DRAWN)]
    drawn = [one for one in measurements if one.family.startswith(DRAWN)]
    families = sorted({one.family for one in real})
    order = np.random.default_rng(seed).permutation(len(families))
    folds = {families[int(n)]: place % FOLDS for place, n in enumerate(order)}
    said: dict[str, dict[str, float]] = defaultdict(dict)
    inside = 0
    for fold in range(FOLDS):
        given = [*drawn, *(one for one in real if folds[one.family] != fold)]
        asked = by_model(one for one in real if folds[one.family] == fold)
        model = train(given, seed)
        tokens = train_sequences(given, seed) if network else None
        for first, one in (
            (group[0], one) for group in asked.values() for one in group
        ):
            plain = () if one is first else first.ops
            found = model.predict(one.ops, one.rates, plain)
            inside += found.low <= one.seconds <= found.high
            said[BOTH][one.key] = found.seconds
            said["process"][one.key] = model.by_program(one.ops, one.rates)
            said["trees"][one.key] = model.by_ops(one.ops, one.rates)
            if tokens is not None:
                said["network"][one.key] = tokens.seconds(one)
    return Held(said, inside / len(real))


def rows_of(
    measurements: Sequence[Measurement],
    network_seeds: int,
    advance: Callable[[int], object],
    firsts: dict[str, Held],
) -> Iterator[str]:
    """The rows of the table for one backend; `firsts` gets what seed 0 says."""
    real = [one for one in measurements if not one.family.startswith(DRAWN)]
    scores: dict[str, list[Score]] = defaultdict(list)
    covered: list[float] = []
    for seed in range(SEEDS):
        held = held_out(measurements, seed, seed < network_seeds)
        firsts.setdefault(real[0].backend, held)
        for way, said in held.said.items():
            scores[way].append(score(real, lambda one, said=said: said[one.key]))
        covered.append(held.covered)
        advance(1)
    line = score(real, lambda one: program_roofline(one.ops, one.rates))
    scores["roofline"].append(line)
    for name in ("roofline", "trees", "process", BOTH, "network"):
        if name in scores:
            yield _row(real[0].backend, name, scores[name])
    share = format(statistics.mean(covered), ".0%")
    yield f"| {real[0].backend} | their 90 % interval covers {share} | | | | | |"


def _row(backend: str, name: str, scores: Sequence[Score]) -> str:
    def told(values: Sequence[float], kind: str) -> str:
        mean = format(statistics.mean(values), kind)
        if len(values) == 1:
            return mean
        return f"{mean} ({format(min(values), kind)} to {format(max(values), kind)})"

    cells = (
        told([one.within for one in scores], ".0%"),
        told([one.error for one in scores], ".1%"),
        told([one.tau for one in scores], ".2f"),
        told([one.regret for one in scores], ".1%"),
        told([one.fair for one in scores], ".1%"),
    )
    return f"| {backend} | {name} | {' | '.join(cells)} |"


HEAD = f"""# The cost model

Written by `python tests/bench/cost_model.py evaluate` from the measurements in
tests/bench/measurements. Families of real models are held out, in {FOLDS} folds; the
numbers are means over {SEEDS} seeds, and the ends. Models and parts of models drawn
at random (tests/bench/cost_models.py, cost_parts.py) help to train and are not asked
about. `both` is the geometric mean of the trees over ops and the process over programs,
and for a model's other pipelines what one of the two says that they gain on -O2: the
trees on NumPy, the process on JAX. The network reads the program's text and is not
shipped.
"""
COLUMNS = (
    "| backend | predicted by | models within 20 % | median error | "
    "Kendall's tau of pipelines | regret | fair regret |"
)
FOOT = f"""A model's latency is that of its -O2 program. Tau is over the pairs of a
model's pipelines whose order is certain: their times differ by more than {NOISE:.0%},
and one was the faster in so many of the rounds in which they took turns
({certain(ROUNDS)} of {ROUNDS}) that a sign test gives at most {SURE:.0%}. Regret is
what the pipeline chosen takes beyond the fastest of all that were measured (every one
of a space of at most {REAL_MOST["numpy"]}, on JAX {REAL_MOST["jax"]}); it is the
one predicted fastest, or -O2 where that is predicted to gain less than
{LEAST_GAIN:.0%}, as -O3 chooses. The least of many noisy times is less than what any
program takes, so a perfect choice would have regret, too. Fair regret has none of that:
one half of the rounds says which program is the fastest, the other how fast that is.
"""


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
    lines += ["", FOOT]
    lines += _per_model(measurements, firsts)
    text = "\n".join(lines) + "\n"
    write_whole(options.output, text)
    show(text)


def _counts(measurements: Sequence[Measurement]) -> list[str]:
    machines = sorted({one.machine for one in measurements})
    found: list[str] = [f"Measured on {'; '.join(machines)}.", ""]
    for backend in BACKENDS:
        mine = [one for one in measurements if one.backend == backend]
        real = [one for one in mine if not one.family.startswith(DRAWN)]
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
        real = [one for one in mine if not one.family.startswith(DRAWN)]
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
    one.add_argument("--drawn", type=int, nargs=2, metavar=("COUNT", "SEED"))
    one.add_argument("--parts", action="store_true", help="draw parts of networks")
    one.add_argument("--light", type=Path)
    one.add_argument("--backend", action="append", choices=BACKENDS)
    one.add_argument("--seconds", type=float, default=1.0)
    one.add_argument("-o", "--output", type=Path, default=DATA / "host.jsonl")
    one.set_defaults(run=run_collect)
    one = commands.add_parser("evaluate")
    one.add_argument("--network", type=int, default=SEEDS, help="seeds that train it")
    one.add_argument("-o", "--output", type=Path, default=PAGE)
    one.set_defaults(run=run_evaluate)
    one = commands.add_parser("train")
    one.add_argument("-o", "--output", type=Path, default=SHIPPED)
    one.set_defaults(run=run_train)
    options = parser.parse_args()
    if getattr(options, "backend", True) is None:
        options.backend = BACKENDS
    options.run(options)


if __name__ == "__main__":
    main()
