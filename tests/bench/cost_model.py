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
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from cost_models import FAMILIES as NETWORKS
from cost_models import drawn_models
from cost_parts import PARTS
from cost_scores import (
    BOTH,
    DRAWN,
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
from safetensors.numpy import save
from sardonyx.compiler.arguments import write_whole
from sardonyx.compiler.cost.choose import LEAST_GAIN
from sardonyx.compiler.cost.dataset import (
    ROUNDS,
    Subject,
    collect,
    subjects_of,
    this_machine,
)
from sardonyx.compiler.cost.learned import SHIPPED, CostModel, train
from sardonyx.compiler.cost.measurements import Measurement, read_measurements
from sardonyx.compiler.driver import load, specialize
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.model import Model
from sardonyx.compiler.show import counting, show, stepping

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "models"
DATA = Path(__file__).parent / "measurements"
PAGE = ROOT / "docs" / "cost-model.md"
BACKENDS = ("numpy", "jax")

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
DRAWN_MOST = {"numpy": 6, "jax": 3}
"""
Pipelines of a model that are measured: for a real one all of a space that small, for
one that is drawn so many at random of all.
"""


# --- collecting ---


def real_models(light: Path) -> Iterator[tuple[str, str, Model]]:
    """The models beside the project, at some sizes: name, family, and itself."""
    for path in sorted([*light.glob("*.onnx"), *SHARED.glob("*.onnx")]):
        for sizes in SIZES.get(path.stem, [{}]):
            model = load(path)
            specialize(model, sizes)
            name = " ".join([path.stem, *(f"{k}={v}" for k, v in sizes.items())])
            yield name, FAMILIES.get(path.stem, path.stem), model


def asked_for(
    options: argparse.Namespace, light: Path
) -> Iterator[tuple[str, str, Model]]:
    """The models that are to be measured, as `real_models` gives them."""
    if options.drawn is None:
        found = real_models(light)
    else:
        count, seed = options.drawn
        found = (
            (name, DRAWN + family, import_model(proto))
            for name, family, proto in drawn_models(
                count, seed, PARTS if options.parts else NETWORKS
            )
        )
    for one in found:
        if not options.family or one[1].removeprefix(DRAWN) in options.family:
            yield one


def groups(
    models: Iterable[tuple[str, str, Model]], options: argparse.Namespace
) -> Iterator[Iterator[Subject]]:
    is_drawn = options.drawn is not None
    for name, family, model in models:
        for backend in options.backend:
            most = (DRAWN_MOST if is_drawn else REAL_MOST)[backend]
            yield subjects_of(model, name, family, backend, most, sampled=is_drawn)


def run_collect(options: argparse.Namespace) -> None:
    DATA.mkdir(exist_ok=True)
    machine = this_machine(BACKENDS, read_all())
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as made:
        light = options.light or Path(made)
        if options.light is None and options.drawn is None:
            script = [sys.executable, str(SHARED / "make_light.py"), made]
            subprocess.run(script, check=True, stdout=subprocess.DEVNULL)
        found = groups(asked_for(options, light), options)
        path = options.output
        for one in collect(path, found, machine, options.seconds, options.rounds):
            spent = time.perf_counter() - start
            show(
                f"{spent:6.0f} s  {one.model} {one.backend} {1e3 * one.seconds:.3g} ms"
            )


# --- evaluating ---

HEAD = f"""# The cost model

Written by `python tests/bench/cost_model.py evaluate` from the measurements in
tests/bench/measurements. Families of real models are held out, in {FOLDS} folds; the
numbers are means over {SEEDS} seeds, and the ends. Models and parts of models drawn
at random (tests/bench/cost_models.py, cost_parts.py) help to train and are not asked
about. `both` is the geometric mean of the trees over ops and the process over programs,
and for a model's other pipelines what the process says that they gain on -O2. The
network reads the program's text and is not shipped.
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
    one.add_argument("--drawn", type=int, nargs=2, metavar=("COUNT", "SEED"))
    one.add_argument("--parts", action="store_true", help="draw parts of networks")
    one.add_argument("--family", action="append", help="of models, this alone")
    one.add_argument("--light", type=Path)
    one.add_argument("--backend", action="append", choices=BACKENDS)
    one.add_argument("--seconds", type=float, default=1.0)
    one.add_argument("--rounds", type=int, default=ROUNDS)
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
