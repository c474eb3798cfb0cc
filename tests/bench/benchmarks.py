"""
Times the project's models beside other runtimes and writes docs/benchmarks.md.

    python tests/bench/benchmarks.py
    python tests/bench/benchmarks.py --only 'minilm|squeezenet' --budget 60
    python tests/bench/benchmarks.py --large FOLDER --resume

All of it takes about --budget seconds. What is measured is kept in --state after every
model; --resume goes on from there. With --only the page is printed unless -o says
where it goes. The nine classifiers are made by make_light.py (into a temporary folder
unless --light names one), the large models by make_large.py, which needs PyTorch: they
are measured where --large has them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks_page import benchmarks_page
from sardonyx.compiler.arguments import write_whole
from sardonyx.compiler.bench.comparison import Contest, bench_model
from sardonyx.compiler.bench.contenders import absence
from sardonyx.compiler.bench.machine import describe_machine, describe_versions
from sardonyx.compiler.bench.protocol import Plan, Report
from sardonyx.compiler.show import counting, first_line, show
from sardonyx.dialects.errors import SardonyxError

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "models"
PAGE = ROOT / "docs" / "benchmarks.md"
STATE = ROOT / "build" / "benchmarks.json"

PEERS = ("onnxruntime", "openvino", "jaxonnxruntime")
START_SECONDS = 12.0
"""About how long the contenders take until they can be timed."""
LEAST_SECONDS, MOST_SECONDS = 4.0, 40.0
"""For the timed calls of a model."""


@dataclass(frozen=True)
class Case:
    """A model at some sizes."""

    name: str
    file: str
    folder: str
    """``light``, ``shared`` or ``large``."""
    group: str
    """Whose means it counts in: ``classifier``, ``transformer`` or ``other``."""
    dims: Mapping[str, int] = field(default_factory=dict)


LIGHT = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)
SIZES = ((1, 16), (1, 128), (8, 128))
CASES = (
    *(Case(name, f"{name}.onnx", "light", "classifier") for name in LIGHT),
    *(
        Case(
            f"minilm {batch}x{seq}",
            "minilm_l6.onnx",
            "shared",
            "transformer",
            {"batch": batch, "seq": seq},
        )
        for batch, seq in SIZES
    ),
    Case(
        "bytelm 1x256",
        "bytelm.onnx",
        "shared",
        "transformer",
        {"batch": 1, "seq": 256},
    ),
    Case("wav2vec2", "wav2vec2_tiny.onnx", "shared", "transformer"),
    Case("magika", "magika_v3_3.onnx", "shared", "other", {"unk__214": 1}),
    Case("mobilenetv2", "mobilenetv2_tiny.onnx", "shared", "other"),
    Case("bilstm", "bilstm_tagger.onnx", "shared", "other"),
    Case("bert-base 1x128", "bert-base.onnx", "large", "transformer"),
    Case("vit-base", "vit-base.onnx", "large", "transformer"),
    Case("llama-110m 1x128", "llama-110m.onnx", "large", "transformer"),
    Case("moe-small", "moe-small.onnx", "large", "transformer"),
)

COLD = {"resnet50": 4.0, "vgg19": 9.0}
"""Seconds in which a new process that has nothing cached is to have a result."""
COLD_RUNS = 2
COLD_PROGRAM = (
    "import sys\n"
    "from sardonyx.compiler import compile_model\n"
    "net = compile_model(sys.argv[1], 'jax', 'O2')\n"
    "print([value.shape for value in net(**net.random_inputs())], flush=True)\n"
)


# --- measuring ---


def measured(
    case: Case, path: Path, seconds: float, threads: int, report: Report
) -> dict[str, Any]:
    """The rows of all contenders on a model, for JSON; `seconds` for timed calls."""
    there = tuple(name for name in PEERS if absence(name) is None)
    plan = Plan(budget_seconds=0.85 * seconds, limit_seconds=120.0)
    contest = Contest(
        peers=there, pipeline="O2", dims=case.dims, threads=threads, plan=plan
    )
    # A call of the evaluator may take seconds: it is given few, beside NumPy alone.
    few = Plan(2, 2, 0, 0.0, 0.15 * seconds, 120.0)
    beside = Contest(("numpy",), ("reference",), (), "O2", case.dims, threads, 0, few)
    try:
        found = bench_model(path, contest, report).as_json()
        found["reference"] = bench_model(path, beside, report).as_json()
    except (SardonyxError, OSError) as error:
        return {"failure": first_line(error), "rows": []}
    return found


def cold_seconds(path: Path) -> float:
    """From the start of a process, nothing cached, to its first result with JAX."""
    with tempfile.TemporaryDirectory(prefix="sardonyx-cold-") as cache:
        cold = {"SARDONYX_CACHE": cache, "JAX_PLATFORMS": "cpu"}
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-P", "-c", COLD_PROGRAM, str(path)],
            env={**os.environ, **cold},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None, "it is a pipe"
            line = process.stdout.readline()
            spent = time.perf_counter() - start
        if process.returncode or not line:
            raise SardonyxError(f"{path}: found no result, wanted one: see above")
        return spent


# --- what is kept ---


@dataclass
class Measurements:
    """All that was measured so far, in a file."""

    path: Path
    content: dict[str, Any]

    @classmethod
    def opened(cls, path: Path, threads: int, resume: bool) -> Measurements:
        """New ones or, to `resume`, those in the file if they are of this setting."""
        setting = {
            "machine": {**asdict(describe_machine()), "load": None},
            "versions": describe_versions(),
            "threads": threads,
        }
        # As the file will have it: tuples become lists.
        setting = json.loads(json.dumps(setting))
        new = {"setting": setting, "models": {}, "cold": {}}
        if not resume:
            return cls(path, new)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SardonyxError(f"{path}: cannot be resumed: {error}") from error
        if content.get("setting") != setting:
            wanted = "those of this machine, its versions and threads"
            raise SardonyxError(f"{path}: found other measurements, wanted {wanted}")
        return cls(path, content)

    def save(self) -> None:
        """Write the file, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, json.dumps(self.content, indent=1) + "\n")


# --- the run ---


@contextmanager
def light_models(given: Path | None) -> Iterator[Path | None]:
    """The folder of the nine classifiers: a given one, or a new temporary one."""
    script = SHARED / "make_light.py"
    if given is not None or not script.exists():
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="sardonyx-light-") as folder:
        show("making the nine classifiers (make_light.py)")
        command = [sys.executable, str(script), folder]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        yield Path(folder)


@dataclass
class Run:
    """Measures cases one after another until the time is over."""

    kept: Measurements
    folders: Mapping[str, Path | None]
    deadline: float
    threads: int

    def case(self, case: Case, number: int, total: int) -> None:
        """Measure one model and keep what was found."""
        folder = self.folders[case.folder]
        path = None if folder is None else folder / case.file
        left = self.deadline - time.monotonic()
        if path is None or not path.exists():
            found = {"failure": absent(case), "rows": []}
        elif left <= 0:
            found = {"failure": "not measured: the budget is spent", "rows": []}
        else:
            share = left / (total - number) - START_SECONDS
            seconds = min(MOST_SECONDS, max(LEAST_SECONDS, share))
            with counting(f"{number + 1}/{total} {case.name}") as report:
                found = measured(case, path, seconds, self.threads, report)
        self.kept.content["models"][case.name] = {"group": case.group, **found}
        self.kept.save()
        show(f"{case.name}: {told(found)}")

    def cold(self, name: str) -> None:
        """Measure a cold start and keep it."""
        folder = self.folders["light"]
        path = None if folder is None else folder / f"{name}.onnx"
        if path is None or not path.exists() or time.monotonic() >= self.deadline:
            return
        with counting(f"{name}: cold start"):
            seconds = [cold_seconds(path) for _ in range(COLD_RUNS)]
        limit = {"seconds": seconds, "limit": COLD[name]}
        self.kept.content["cold"][name] = limit
        self.kept.save()
        show(f"{name}: first result after {statistics.median(seconds):.2f} s, cold")


def absent(case: Case) -> str:
    """Why a model is not there."""
    if case.folder == "large":
        name = Path(case.file).stem
        return f"not there: make_large.py {name} {case.file}, and --large its folder"
    return f"not there: {case.file} of the shared models"


def told(found: Mapping[str, Any]) -> str:
    """What was found of a model, in a line."""
    if found.get("failure"):
        return str(found["failure"])
    parts: list[str] = []
    for row in found["rows"]:
        if row["failure"]:
            parts.append(f"{row['contender']} failed: {row['failure']}")
        else:
            ratio = f" ({row['ratio']:.2f})" if row["ratio"] else ""
            parts.append(f"{row['contender']} {row['median_ms']:.3g} ms{ratio}")
    return ", ".join(parts)


def chosen(only: str) -> list[Case]:
    """The cases whose name matches; SardonyxError if none does."""
    found = [case for case in CASES if re.search(only, case.name)]
    if not found:
        names = ", ".join(case.name for case in CASES)
        raise SardonyxError(f"--only: found {only!r}, wanted one of: {names}")
    return found


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--only", default="", metavar="REGEX", help="these models")
    parser.add_argument("--budget", type=float, default=840.0, metavar="SECONDS")
    parser.add_argument("--state", type=Path, default=STATE, metavar="FILE.json")
    parser.add_argument("--resume", action="store_true", help="go on from --state")
    parser.add_argument("--light", type=Path, metavar="DIR", help="the classifiers")
    parser.add_argument("--large", type=Path, metavar="DIR", help="the large models")
    parser.add_argument("--threads", type=int, default=describe_machine().cores)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.md")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Measure what is asked for and write the page."""
    options = arguments(given)
    start = time.monotonic()
    kept = Measurements.opened(options.state, options.threads, options.resume)
    wanted = chosen(options.only)
    with (
        light_models(options.light) as light,
        tempfile.TemporaryDirectory(prefix="sardonyx-bench-") as cache,
    ):
        # So that what a first result takes is not what an earlier run left.
        os.environ["SARDONYX_CACHE"] = cache
        folders = {"light": light, "shared": SHARED, "large": options.large}
        run = Run(kept, folders, start + options.budget, options.threads)
        for name in COLD:
            if re.search(options.only, name) and name not in kept.content["cold"]:
                run.cold(name)
        missing = [c for c in wanted if c.name not in kept.content["models"]]
        for number, case in enumerate(missing):
            run.case(case, number, len(missing))
    kept.content["seconds"] = time.monotonic() - start
    page = benchmarks_page(kept.content, [case.name for case in CASES])
    output = options.output or (None if options.only else PAGE)
    if output is None:
        print(page)
    else:
        write_whole(output, page)
        show(f"wrote {output}")


if __name__ == "__main__":
    try:
        main()
    except SardonyxError as error:
        sys.exit(f"benchmarks: {error}")
