"""
What every scheme of `sardonyx quantize` costs on trained models: docs/quantization.md.

    python tests/bench/quantization.py [--models bytelm,magika,mnist,minilm] -o FILE

bytelm: perplexity on the held-out files of CPython 3.11's library (the models' README
says which), as it is and with planted outlier channels: the gains of its normalizations
are multiplied by 50 on eight channels, the products' weights divided. magika: agreement
with the float model on files of this system. mnist: on scikit-learn's digits. minilm:
cosine of embeddings and agreement of the nearest neighbour; its tokenizer is not among
the models, so its sentences are token numbers drawn by Zipf's law. All on the NumPy
backend; calibration sees none of what is evaluated. Results are kept in FILE's .json
beside it, so that a run goes on where one stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sardonyx.compiler.driver import Executable, call_by_name, load, lower
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline, spec_of
from sardonyx.compiler.quantize.calibrate import calibrated, write_calibration
from sardonyx.compiler.quantize.data import Batches
from sardonyx.compiler.quantize.plans import SCHEMES, Plan, Stage, apply_plan, plan_of
from sardonyx.compiler.quantize.report import report_of
from sardonyx.passes.quantize.maps import NORMS, Diagonal, edges, insert
from sardonyx.passes.quantize.quantize_static import QuantizeStaticPass
from sardonyx.passes.quantize.split_quant import SplitQuantPass

MODELS = Path(__file__).parents[3] / "shared" / "models"
LIBRARY = Path(json.__file__).parents[1]
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

    data = batched(name, windows(trained, 32, 0))
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


def onnxruntime_s(case: Case, path: Path, folder: Path) -> dict[str, float]:
    """What onnxruntime.quantization's static INT8 gives, with the same data."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, QuantType
    from onnxruntime.quantization import quantize_static as quantize

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(case.calibration)

        def get_next(self) -> Any:
            return next(self.batches, None)

    quantize(
        str(path),
        str(folder / "int8.onnx"),
        Reader(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
    )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(folder / "int8.onnx"), options)
    found = [session.run(None, dict(batch))[0] for batch in case.data]
    return case.measure(found, timed(case.model, case.data)[0])


# --- the table ---


def measured(
    case: Case, plan: Plan, folder: Path, floats: tuple[list[Any], float]
) -> dict[str, float]:
    """
    What a plan does to a case, its bits per weight, and its time.

    `floats` are the outputs and the time of the model as it was.
    """

    def measure(model: Model, second: bool, place: int) -> Path:
        path = folder / f"{place}.npz"
        # The first stage of every plan sees the model as it was.
        if place or not path.exists():
            seconds = second or place == 0
            write_calibration(calibrated(model, case.calibration, seconds), path)
        return path

    done = apply_plan(plan, case.model, measure)
    found, spent = timed(done.model, case.data)
    bits = report_of(case.model, done.model).bits_per_weight
    wanted, plain = floats
    return {"bits": bits, **case.measure(found, wanted), "time": spent / plain}


def timed(model: Model, data: Batches) -> tuple[list[Any], float]:
    """The outputs, and the least seconds of CPU that a batch took."""
    copy = model.clone()
    executable = Executable(copy, "numpy", "", lower(copy, "numpy"))
    found: list[Any] = []
    seconds: list[float] = []
    for batch in data:
        start = time.process_time()
        found.append(call_by_name(executable, batch)[0])
        seconds.append(time.process_time() - start)
    return found, min(seconds)


CASES: dict[str, Callable[[int], Case]] = {
    "bytelm": lambda count: bytelm(count, False),
    "bytelm, planted": lambda count: bytelm(count, True),
    "magika": lambda count: magika(),
    "mnist": lambda count: mnist(),
    "minilm": lambda count: minilm(),
}

PEERS = {"magika": MODELS / "magika_v3_3.onnx", "mnist": MODELS / "mnist.onnx"}
"""The models that onnxruntime.quantization quantizes for comparison."""


def page(rows: dict[str, dict[str, dict[str, float]]], count: int) -> str:
    """The tables as Markdown."""
    lines = [
        "# Quantization on trained models",
        "",
        *(__doc__ or "").strip().split("\n"),
    ]
    lines[2:] = [
        "Written by `python tests/bench/quantization.py`; bytelm on "
        f"{count} windows of {WINDOW} bytes. Bits are those of products' weights on "
        "disk, scales and zero points included; time is CPU time on the NumPy backend "
        "beside float32, only indicative where the machine was busy. The row "
        "onnxruntime is onnxruntime.quantization's static INT8 (QDQ, min-max) of Conv, "
        "Gemm and MatMul with the same data.",
    ]
    for case, schemes in rows.items():
        columns = list(dict.fromkeys(c for row in schemes.values() for c in row))
        lines += ["", f"## {case}", "", f"| scheme | {' | '.join(columns)} |"]
        lines += ["|---" * (len(columns) + 1) + "|"]
        for scheme, row in schemes.items():
            cells = [f"{row[c]:.4g}" if c in row else "" for c in columns]
            lines.append(f"| {scheme} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is not known yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument(
        "--models", default=",".join(["bytelm", "magika", "mnist", "minilm"])
    )
    parser.add_argument("--windows", type=int, default=96)
    parser.add_argument("--schemes", default="", help="names that hold one of these")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    kept = given.output.with_suffix(".json")
    rows = json.loads(kept.read_text()) if kept.exists() else {}
    for name, make in CASES.items():
        if name.partition(",")[0] not in given.models.split(","):
            continue
        case, known = make(given.windows), rows.setdefault(name, {})
        if name in PEERS and "onnxruntime" not in known:
            with tempfile.TemporaryDirectory() as folder:
                known["onnxruntime"] = onnxruntime_s(case, PEERS[name], Path(folder))
            print(name, "onnxruntime", known["onnxruntime"], file=sys.stderr)
        floats = timed(case.model, case.data)
        with tempfile.TemporaryDirectory() as folder:
            for scheme, plan in PLANS.items():
                picked = not given.schemes or any(
                    part in scheme for part in given.schemes.split(",")
                )
                if scheme in known or not picked:
                    continue
                known[scheme] = measured(case, plan, Path(folder), floats)
                print(name, scheme, known[scheme], file=sys.stderr, flush=True)
                kept.write_text(json.dumps(rows, indent=1) + "\n")
    given.output.write_text(page(rows, given.windows))


if __name__ == "__main__":
    main()
