"""
What every scheme of `sardonyx quantize` costs on trained models: docs/quantization.md.

    python tests/bench/quantization.py
    python tests/bench/quantization.py --models magika,mnist --schemes W8A8 -o FILE

bytelm: perplexity on the held-out files of CPython 3.11's library (the models' README
says which), as it is and with planted outlier channels: the gains of its normalizations
are multiplied by 50 on eight channels, the products' weights divided. magika: agreement
with the float model on files of this system. mnist: on scikit-learn's digits. minilm:
cosine of embeddings and agreement of the nearest neighbour; its tokenizer is not among
the models, so its sentences are token numbers drawn by Zipf's law. Accuracy is that of
the NumPy program; calibration sees none of what is evaluated. Latency is one sample's,
on NumPy and on JAX, over that of the float32 program: blocks of calls of both in turns,
in one process, -O2, the least block of each. What is measured is kept in
build/quantization.json; --resume goes on from there.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from sardonyx.compiler.bench.machine import measured_on
from sardonyx.compiler.driver import Executable, call_by_name, compile_model, load
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline, spec_of
from sardonyx.compiler.quantize.calibrate import calibrated, write_calibration
from sardonyx.compiler.quantize.data import Batches
from sardonyx.compiler.quantize.plans import SCHEMES, Plan, Stage, apply_plan, plan_of
from sardonyx.compiler.quantize.report import report_of
from sardonyx.compiler.show import counting
from sardonyx.passes.quantize.maps import NORMS, Diagonal, edges, insert
from sardonyx.passes.quantize.quantize_static import QuantizeStaticPass
from sardonyx.passes.quantize.split_quant import SplitQuantPass

ROOT = Path(__file__).parents[2]
MODELS = ROOT.parent / "shared" / "models"
PAGE, STATE = ROOT / "docs" / "quantization.md", ROOT / "build" / "quantization.json"
LIBRARY = Path(json.__file__).parents[1]
BACKENDS = ("numpy", "jax")
LEAST_ROUNDS, MOST_ROUNDS = 3, 12
WINDOW, HELD_OUT = 256, 25
PLANTED = tuple(range(7, 256, 32))
"""The channels that outliers are planted in."""
TENSOR = QuantizeStaticPass(method="min-max", per_channel=False)

PLANS: dict[str, Plan] = {
    "W8A8 static, per tensor": Plan((Stage(TENSOR),)),
    "W8A8 static, min-max": plan_of("w8a8-static", {"method": "min-max"}),
    "W8A8 static": SCHEMES["w8a8-static"],
    "W8A8 dynamic": SCHEMES["w8a8-dynamic"],
    "W8A8 dynamic, by row": plan_of("w8a8-dynamic", {"per": "row"}),
    "SmoothQuant": SCHEMES["smoothquant"],
    "LLM.int8()": SCHEMES["llm-int8"],
    "W4A16, nearest, group 32": SCHEMES["w4a16"],
    "W4A16, GPTQ, group 32": SCHEMES["gptq"],
    "INT4, per tensor": Plan((Stage(SplitQuantPass(clusters=1)),)),
    "INT4, SplitQuant": SCHEMES["splitquant"],
    "INT2, per tensor": Plan((Stage(SplitQuantPass(bits=2, clusters=1)),)),
    "INT2, SplitQuant": Plan((Stage(SplitQuantPass(bits=2)),)),
}


@dataclass(frozen=True)
class Case:
    """A model, data to calibrate and to evaluate it with, and what is measured."""

    model: Model
    calibration: Batches
    data: Batches
    measure: Callable[[list[Any], list[Any]], dict[str, float]]
    """Of the outputs found and wanted, batch by batch."""


def optimized(path: Path) -> Model:
    """The model after -O2."""
    model = load(path)
    run_pipeline(model, spec_of("O2"))
    return model


def batched(name: str, rows: Any, size: int = 16) -> Batches:
    """Rows of one input in batches."""
    starts = range(0, len(rows), size)
    return Batches(tuple({name: rows[start : start + size]} for start in starts))


# --- bytelm ---


def library() -> tuple[list[Path], list[Path]]:
    """The files that bytelm was trained on, and those held out."""
    aside = ("site-packages", "/test", "/idlelib")
    files = sorted(
        path
        for path in LIBRARY.rglob("*.py")
        if not any(part in f"/{path.relative_to(LIBRARY)}" for part in aside)
    )
    held = files[::HELD_OUT]
    return [path for path in files if path not in set(held)], held


def windows(files: list[Path], count: int, seed: int) -> Any:
    """Windows of bytes from the files one after another, as int64."""
    joined = b"".join(path.read_bytes() for path in files)
    content = np.frombuffer(joined, np.uint8).astype(np.int64)
    starts = np.random.default_rng(seed).integers(0, len(content) - WINDOW, count)
    return np.stack([content[start : start + WINDOW] for start in starts])


CALIBRATED = 128
"""Windows of bytes; those of 32 are too rough for second moments: GPTQ lost more."""


def bytelm(count: int, planted: bool) -> Case:
    """The byte-level language model; `planted` with outlier channels."""
    model = optimized(MODELS / "bytelm.onnx")
    if planted:
        plant(model, 50.0)
    trained, held = library()
    name = model.inputs[0].name
    test = windows(held, count, 1)

    def measure(found: list[Any], wanted: list[Any]) -> dict[str, float]:
        ours, theirs = (entropy(np.concatenate(one), test) for one in (found, wanted))
        return {"perplexity": np.exp(ours), "more, %": 100 * np.expm1(ours - theirs)}

    data = batched(name, windows(trained, CALIBRATED, 0))
    return Case(model, data, batched(name, test), measure)


def plant(model: Model, factor: float) -> None:
    """Multiply channels of what normalizations give, and undo it behind them."""
    store, factors = model.context.store, np.ones(256)
    factors[list(PLANTED)] = factor
    for edge in edges(list(model.module.walk()), store):
        owner = edge.x.owner
        if getattr(owner, "name", "") in NORMS:
            insert(edge, Diagonal(factors), store, model.context.journal)


def entropy(logits: Any, test: Any) -> float:
    """The mean cross entropy of the next byte, in nats."""
    wide = logits[:, :-1].astype(np.float64)
    wide -= wide.max(-1, keepdims=True)
    total = np.log(np.exp(wide).sum(-1))
    picked = np.take_along_axis(wide, test[:, 1:, None], -1)[..., 0]
    return float((total - picked).mean())


# --- classifiers and embeddings ---


def agreement(found: list[Any], wanted: list[Any]) -> dict[str, float]:
    """The share of samples whose class is the float model's."""
    ours, theirs = (np.concatenate(one).argmax(-1) for one in (found, wanted))
    return {"agree, %": 100 * float((ours == theirs).mean())}


def system_files() -> Iterator[tuple[str, Path]]:
    """Real files of known type on a system with Python: at most 12 of a type."""
    roots = [LIBRARY, Path(sys.prefix), Path("/usr/share"), Path("/usr/lib")]
    kinds = "py html css js json xml svg png gif c h sh pl tex md rst txt so pyc gz"
    kinds += " yaml toml ini cfg csv java cpp rs go mo ttf jpg zip whl npz npy pm conf"
    wanted = {f".{kind}": 12 for kind in kinds.split()}
    for root in roots:
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            left = wanted.get(path.suffix, 0)
            if left and path.is_file() and not path.is_symlink():
                if path.stat().st_size < 64 or hash_of(path) % 3:
                    continue
                wanted[path.suffix] = left - 1
                yield path.suffix, path
            if not any(wanted.values()):
                return


def hash_of(path: Path) -> int:
    """A number that a path always has: neighbours in a folder are much alike."""
    return sum(path.as_posix().encode())


def features(path: Path) -> Any:
    """The beginning and the end of a file as magika takes them (its configuration)."""
    settings = json.loads((MODELS / "magika_v3_3.config.json").read_text())
    size, block, padding = 1024, settings["block_size"], settings["padding_token"]
    content = path.read_bytes()
    begin = content[:block].lstrip()[:size]
    end = content[-block:].rstrip()[-size:]
    row = np.full(2 * size, padding, np.int32)
    row[: len(begin)] = list(begin)
    row[2 * size - len(end) :] = list(end)
    return row


def magika() -> Case:
    """The classifier of file types."""
    found = list(system_files())
    kinds = {kind for kind, _ in found}
    rows = np.stack([features(path) for _, path in found])
    print(f"magika: {len(found)} files of {len(kinds)} types", file=sys.stderr)
    order = np.random.default_rng(0).permutation(len(rows))
    model = optimized(MODELS / "magika_v3_3.onnx")
    name = model.inputs[0].name
    return Case(
        model,
        batched(name, rows[order[:32]]),
        batched(name, rows[order[32:]]),
        agreement,
    )


def digits() -> Any:
    """scikit-learn's digits as 28 by 28 images from 0 to 255."""
    from sklearn.datasets import load_digits

    images = load_digits().images.astype(np.float32)
    whole = np.pad(np.kron(images, np.ones((1, 3, 3))), ((0, 0), (2, 2), (2, 2)))
    return (whole[:, None] / 16 * 255).astype(np.float32)


def mnist() -> Case:
    """The classifier of digits."""
    rows = digits()
    model = optimized(MODELS / "mnist.onnx")
    name = model.inputs[0].name
    return Case(
        model, batched(name, rows[:64], 1), batched(name, rows[64:], 1), agreement
    )


def minilm() -> Case:
    """The embedder of sentences."""
    model = optimized(MODELS / "minilm_l6.onnx")
    rng = np.random.default_rng(0)
    chances = 1 / np.arange(1, 28001)
    ids = rng.choice(28000, (160, 24), p=chances / chances.sum()) + 1996
    ids[:, 0], ids[:, -1] = 101, 102
    names = [value.name for value in model.inputs]
    whole = [
        {n: part if "id" in n else np.ones_like(part) for n in names}
        for part in np.split(ids.astype(np.int64), 10)
    ]

    def measure(found: list[Any], wanted: list[Any]) -> dict[str, float]:
        ours, theirs = (np.concatenate(one) for one in (found, wanted))
        ours, theirs = (
            x.reshape(len(x), -1).astype(np.float64) for x in (ours, theirs)
        )
        ours /= np.linalg.norm(ours, axis=1, keepdims=True)
        theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
        near = [(x @ x.T - 2 * np.eye(len(x))).argmax(1) for x in (ours, theirs)]
        same = 100 * float((near[0] == near[1]).mean())
        return {"cosine": float((ours * theirs).sum(1).mean()), "neighbour, %": same}

    return Case(model, Batches(tuple(whole[:4])), Batches(tuple(whole[4:])), measure)


# --- ONNX Runtime's own ---

PEER_SETTINGS: dict[str, dict[str, Any]] = {
    "onnxruntime, all its operators": {},
    "onnxruntime, products": {"op_types_to_quantize": ["Conv", "Gemm", "MatMul"]},
    "onnxruntime, products by channel": {
        "op_types_to_quantize": ["Conv", "Gemm", "MatMul"],
        "per_channel": True,
    },
}
"""onnxruntime.quantization's static INT8, as it is by default and as ours is."""
BY_CHANNEL = 13
"""The first opset whose DequantizeLinear has an axis."""


def onnxruntime_s(case: Case, path: Path, **settings: Any) -> dict[str, float]:
    """What onnxruntime.quantization's static INT8 gives, with the same data."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(case.calibration)

        def get_next(self) -> Any:
            return next(self.batches, None)

    kinds = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    model = onnx.load(path)
    if model.opset_import[0].version < BY_CHANNEL:
        model = onnx.version_converter.convert_version(model, BY_CHANNEL)
    with tempfile.TemporaryDirectory() as folder:
        made = f"{folder}/int8.onnx"
        quantize(model, made, Reader(), **kinds, **settings)
        session = onnxruntime.InferenceSession(made, options)
    float32 = onnxruntime.InferenceSession(str(path), options)
    found, wanted = (
        [one.run(None, dict(batch))[0] for batch in case.data]
        for one in (session, float32)
    )
    return case.measure(found, wanted)


# --- the table ---


@dataclass(frozen=True)
class Floats:
    """The model as it was: its outputs, and its programs."""

    outputs: list[Any]
    programs: dict[str, Executable]


def program(model: Model, backend: str) -> Executable:
    """The program that `compile` makes of a model."""
    return compile_model(model, backend, "O2")


def floats_of(case: Case) -> Floats:
    """Of a case."""
    programs = {backend: program(case.model, backend) for backend in BACKENDS}
    return Floats(outputs(programs["numpy"], case.data), programs)


def outputs(executable: Executable, data: Batches) -> list[Any]:
    """The first output for each batch."""
    return [call_by_name(executable, batch)[0] for batch in data]


def measured(
    case: Case, plan: Plan, folder: Path, floats: Floats, seconds: float
) -> dict[str, float]:
    """
    What a plan does to a case, its bits per weight, and its latencies.

    `folder` keeps what the plans of a case measure of the model as it was.
    """

    def measure(model: Model, second: bool, place: int) -> Path:
        path = folder / f"{place}.npz"
        # The first stage of every plan sees the model as it was.
        if place or not path.exists():
            moments = second or place == 0
            write_calibration(calibrated(model, case.calibration, moments), path)
        return path

    done = apply_plan(plan, case.model, measure)
    ours = program(done.model, "numpy")
    found = outputs(ours, case.data)
    bits = report_of(case.model, done.model).bits_per_weight
    row = {"bits": bits, **case.measure(found, floats.outputs)}
    sample = {name: array[:1] for name, array in next(iter(case.data)).items()}
    for backend, plain in floats.programs.items():
        mine = ours if backend == "numpy" else program(done.model, backend)
        row[f"time, {backend}"] = ratio(mine, plain, sample, seconds)
    return row


def ratio(
    mine: Executable, plain: Executable, sample: dict[str, Any], seconds: float
) -> float:
    """The time of a call of `mine` over that of `plain`, measured in `seconds`."""
    pair = (mine, plain)
    start = time.perf_counter()
    for one in pair:
        block(one, sample, 2)
    spent = sum(block(one, sample, 2) for one in pair)
    left = seconds - (time.perf_counter() - start)
    count = max(2, min(16, int(left / spent / LEAST_ROUNDS)))
    best = [math.inf, math.inf]
    rounds = 0
    while rounds < LEAST_ROUNDS or (
        time.perf_counter() - start < seconds and rounds < MOST_ROUNDS
    ):
        for place, one in enumerate(pair):
            best[place] = min(best[place], block(one, sample, count))
        rounds += 1
    return best[0] / best[1]


def block(one: Executable, sample: dict[str, Any], count: int) -> float:
    """The seconds of a call, of `count` one after another and one before."""
    np.asarray(call_by_name(one, sample)[0])
    start = time.perf_counter()
    for _ in range(count):
        np.asarray(call_by_name(one, sample)[0])
    return (time.perf_counter() - start) / count


CASES: dict[str, Callable[[int], Case]] = {
    "bytelm": lambda count: bytelm(count, False),
    "bytelm, planted": lambda count: bytelm(count, True),
    "magika": lambda count: magika(),
    "mnist": lambda count: mnist(),
    "minilm": lambda count: minilm(),
}

ELEMENTWISE = {
    f"onnxruntime, products and {op}": {
        "op_types_to_quantize": ["Conv", "Gemm", "MatMul", op]
    }
    for op in ("Sub", "Mul", "Add")
}
"""What of magika's other operators costs it."""

PEERS = {"magika": MODELS / "magika_v3_3.onnx", "mnist": MODELS / "mnist.onnx"}
"""The models that onnxruntime.quantization quantizes for comparison."""


def page(rows: dict[str, dict[str, dict[str, float]]], count: int) -> str:
    """The tables as Markdown."""
    lines = [
        "# Quantization on trained models",
        "",
        "Written by `python tests/bench/quantization.py`; bytelm on "
        f"{count} windows of {WINDOW} bytes, calibrated on {CALIBRATED} others. Bits "
        "are those of products' weights on disk, scales and zero points included. "
        "Time is that of one sample over float32's on the same backend, -O2: the "
        "least of blocks of calls of both in turns. Agreement is with the float32 "
        "model.",
        "",
        "The rows of onnxruntime are onnxruntime.quantization's static INT8 (QDQ, "
        "uint8 activations, int8 weights, min-max, the same calibration data). By "
        "default it quantizes elementwise operators too, one scale for a whole tensor: "
        "in magika that of a Sub, a Mul or an Add leaves nothing of what follows. "
        "Restricted to Conv, Gemm and MatMul it is what ours is. It runs with "
        "`session.x64quantprecision`, without which its products saturate on "
        "processors without VNNI.",
        "",
        measured_on(),
    ]
    for case, schemes in rows.items():
        columns = list(dict.fromkeys(c for row in schemes.values() for c in row))
        columns.sort(key=lambda column: column.startswith("time"))
        lines += ["", f"## {case}", "", f"| scheme | {' | '.join(columns)} |"]
        lines += ["|---" + "|---:" * len(columns) + "|"]
        for scheme, row in schemes.items():
            cells = [f"{row[c]:.4g}" if c in row else "" for c in columns]
            lines.append(f"| {scheme} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


Rows = dict[str, dict[str, dict[str, float]]]


def filled(given: argparse.Namespace, rows: Rows) -> Iterator[tuple[str, int, int]]:
    """Measure what `rows` lacks; says before each what it is, of how many."""
    picked = [name for name in CASES if name.partition(",")[0] in given.models]
    plans = {
        scheme: plan
        for scheme, plan in PLANS.items()
        if any(part in scheme for part in given.schemes.split(","))
    }
    total = len(picked) * len(plans)
    for number, name in enumerate(picked):
        yield name, number * len(plans), total
        case, known = CASES[name](given.windows), rows.setdefault(name, {})
        more = ELEMENTWISE if name == "magika" else {}
        for peer, settings in (
            {**PEER_SETTINGS, **more} if name in PEERS else {}
        ).items():
            if peer not in known:
                known[peer] = onnxruntime_s(case, PEERS[name], **settings)
        floats = floats_of(case)
        with tempfile.TemporaryDirectory() as folder:
            for place, (scheme, plan) in enumerate(plans.items()):
                yield f"{name}, {scheme}", number * len(plans) + place, total
                if scheme not in known:
                    known[scheme] = measured(
                        case, plan, Path(folder), floats, given.seconds
                    )


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--models", default="bytelm,magika,mnist,minilm")
    parser.add_argument("--windows", type=int, default=96)
    parser.add_argument("--schemes", default="", help="names that hold one of these")
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="for each latency, about"
    )
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    given = parser.parse_args()
    given.models = given.models.split(",")
    kept: Rows = {}
    if given.resume and STATE.exists():
        kept = json.loads(STATE.read_text())
    STATE.parent.mkdir(exist_ok=True)
    start = time.monotonic()
    with counting("quantization") as report:
        for step, done, total in filled(given, kept):
            STATE.write_text(json.dumps(kept, indent=1) + "\n")
            report(step, done, total)
    STATE.write_text(json.dumps(kept, indent=1) + "\n")
    given.output.write_text(page(kept, given.windows))
    print(f"wrote {given.output} in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
