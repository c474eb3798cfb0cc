"""
What a hostile model file must come to: a correct import, or one line that refuses it.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from hostile_files import mutant
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.cli import main
from sardonyx.compiler.context import make_context
from sardonyx.compiler.model import Model
from sardonyx.dialects.errors import SardonyxError
from workers import SECONDS, Overtime, time_limit
from xdsl.parser import Parser

CLI_EVERY = 16
"""One seed in so many goes through the command line too."""
RUN_EVERY = 3
"""One seed in so many is run and compared with ONNX Runtime."""
LONGEST = 4000
"""No line that refuses a file is longer."""
TOLERANCE = 1e-3
"""Relative to the largest value: mutated weights may be anything."""


def check(seed: int) -> tuple[str, str]:
    """
    The outcome of one seed and what refused it.

    AssertionError, or whatever escapes the compiler, is a failure.
    """
    with tempfile.TemporaryDirectory(prefix="sardonyx-fuzz-") as folder:
        path = mutant(seed).write(Path(folder))
        outcome, detail = check_file(path, seed)
        if seed % CLI_EVERY == 0:
            check_command(path, outcome)
    return outcome, detail


def check_file(path: Path, seed: int) -> tuple[str, str]:
    """The outcome of one file."""
    with time_limit(SECONDS):
        try:
            model = import_model(path)
        except SardonyxError as error:
            return "refused", one_line(error)
        try:
            executable = compile_model(model, backend="numpy", pipeline="O2")
        except SardonyxError as error:
            executable, refusal = None, one_line(error)
    with time_limit(SECONDS):
        check_text(model)
    if executable is None:
        return "imported, not compiled", refusal
    compile(executable.source, "model.py", "exec")
    if seed % RUN_EVERY:
        return "compiled", ""
    return f"compiled, {compared(path, executable, seed)}", ""


def one_line(error: SardonyxError) -> str:
    """What `error` says, after making sure that it is one line."""
    text = str(error)
    assert text.strip(), f"an empty {type(error).__name__}"
    assert len(text.splitlines()) == 1, f"several lines: {text!r}"
    assert len(text) <= LONGEST, f"{len(text)} characters: {text[:300]}"
    return text


def check_text(model: Model) -> None:
    """The module verifies, and its text parses back to itself."""
    model.module.verify()
    text = model.text()
    parsed = Parser(make_context(), text).parse_module()
    parsed.verify()
    again = Model(parsed, model.context).text()
    assert again == text, "the text does not parse back to itself"


def check_command(path: Path, outcome: str) -> None:
    """``sardonyx compile`` ends in 0 or in 2 with one line, as `outcome` has it."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["compile", str(path), "-b", "numpy", "-o", str(path.parent / "out")]
    code: Any = 0
    with redirect_stdout(out), redirect_stderr(err), time_limit(SECONDS):
        try:
            main(arguments)
        except SystemExit as exit_:
            code = exit_.code or 0
    said = err.getvalue()
    if outcome.startswith("compiled") and code == 0:
        return
    assert code == 2, f"exit code {code}: {said}"
    assert len(said.splitlines()) == 1, f"not one line: {said!r}"


# --- results ---


def compared(path: Path, executable: Any, seed: int) -> str:
    """
    How our results compare with ONNX Runtime's, where it takes the file.

    Raises AssertionError where they differ.
    """
    sizes = {
        name: 3
        for spec in executable.inputs
        for name in spec.shape or ()
        if isinstance(name, str)
    }
    shapes = [
        [n if isinstance(n, int) else 3 for n in spec.shape or ()]
        for spec in executable.inputs
    ]
    if any(np.prod(shape, dtype=float) > 1e5 for shape in shapes):
        return "inputs too large to run"
    try:
        inputs = executable.random_inputs(sizes, seed=seed)
    except (ValueError, SardonyxError):
        return "no random inputs"
    wanted = _apart(_onnxruntime, path, inputs)
    if wanted is None:
        return "refused by the oracle"
    try:
        with time_limit(SECONDS):
            found = executable(**inputs)
    except (ValueError, TypeError, IndexError, Overtime) as error:
        # Running is the user's decision; what it may cost is not bounded.
        return f"not run: {type(error).__name__}"
    names = [spec.name for spec in executable.outputs]
    try:
        _agree_all(names, found, wanted)
    except AssertionError:
        # What C++ leaves undefined (an integer that overflows) may be anything.
        other = _apart(_reference, path, inputs)
        if other is None:
            raise
        _agree_all(names, found, other)
        return "equal to the reference alone"
    return "equal"


def _agree_all(
    names: Sequence[str], found: Sequence[Any], wanted: Sequence[Any]
) -> None:
    for name, ours, theirs in zip(names, found, wanted, strict=True):
        _agree(name, ours, theirs)


def _apart(
    oracle: Callable[[Path, dict[str, Any]], list[Any]],
    path: Path,
    inputs: dict[str, Any],
) -> list[Any] | None:
    """
    What an oracle gives, in a process of its own; None if it refuses or dies.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        # Ends the process, whatever it is in.
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        code = 1
        # Oracles raise anything; then the process ends with 1.
        with os.fdopen(writer, "wb") as answers, contextlib.suppress(Exception):
            answers.write(pickle.dumps(oracle(path, inputs)))
            code = 0
        os._exit(code)
    os.close(writer)
    with os.fdopen(reader, "rb") as answers:
        content = answers.read()
    _, status = os.waitpid(child, 0)
    return pickle.loads(content) if status == 0 else None


def _onnxruntime(path: Path, inputs: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        str(path), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))


def _reference(path: Path, inputs: dict[str, Any]) -> list[Any]:
    return list(ReferenceEvaluator(str(path)).run(None, inputs))


def _agree(name: str, ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs), f"{name}: {len(ours)} of {len(theirs)} items"
        for one, other in zip(ours, theirs, strict=True):
            _agree(name, one, other)
        return
    if theirs is None:
        return
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, f"{name}: {ours.shape}, not {theirs.shape}"
    if theirs.dtype.kind not in "fc":
        assert (ours == theirs).all(), f"{name}: {ours}, not {theirs}"
        return
    finite = np.isfinite(theirs) & np.isfinite(ours)
    scale = max(np.abs(theirs[finite]).max(initial=0), 1e-30)
    error = np.abs(ours[finite] - theirs[finite]).max(initial=0) / scale
    assert error <= TOLERANCE, f"{name}: error {error:.3g}"
