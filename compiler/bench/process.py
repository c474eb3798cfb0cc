"""
A contender in a process of its own, spoken to in lines of JSON.

A request is a line on its stdin, the answer a line on what was its stdout. Arrays go
through .npy files without pickle.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from .machine import distinct_cores
from .protocol import ContenderError, Started

PROGRAM = (sys.executable, "-P", "-m", "sardonyx.compiler.bench.contenders")
"""What a contender's process runs; -P: the user's folder shadows no module."""

THREAD_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NPROC",  # XLA's, where the affinity does not tell
)


@dataclass(frozen=True)
class Setting:
    """What is equal for all contenders: cores, threads, inputs."""

    threads: int
    cpus: tuple[int, ...]
    """The cores that their processes may use; none where that cannot be set."""
    folder: Path
    """Where the inputs lie and outputs are written."""
    inputs: tuple[Mapping[str, str], ...] = ()
    """Per input of the model its ``name``, ``dtype`` and ``file``."""

    def environment(self) -> dict[str, str]:
        """The variables of the contenders' processes."""
        sizes = dict.fromkeys(THREAD_VARIABLES, str(self.threads))
        # Everyone runs on the processor, whatever accelerator there is.
        return {**os.environ, **sizes, "JAX_PLATFORMS": "cpu"}


@dataclass(eq=False)
class ContenderProcess:
    """A contender that `request` describes, in a process that runs `program`."""

    name: str
    request: Mapping[str, Any]
    setting: Setting
    program: Sequence[str] = PROGRAM
    _process: subprocess.Popen[bytes] | None = None
    _received: bytes = field(default=b"", init=False)

    # --- what the protocol asks for ---

    def start(self, limit_seconds: float) -> Started:
        """Start the process and let it give its first result."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log, _pinned(self.setting.cpus):
            self._process = subprocess.Popen(
                self.program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.setting.environment(),
                # Signals reach what it starts, too; Ctrl-C is ours to handle.
                start_new_session=True,
            )
        asked = {
            "do": "start",
            "contender": dict(self.request),
            "threads": self.setting.threads,
            "folder": str(self.setting.folder),
            "inputs": [dict(entry) for entry in self.setting.inputs],
            "parent": os.getpid(),
        }
        return Started(**self._ask(asked, limit_seconds))

    def block(self, calls: int, limit_seconds: float) -> list[float]:
        """The seconds of each of `calls` calls."""
        return self._ask({"do": "block", "calls": calls}, limit_seconds)["seconds"]

    def pause(self) -> None:
        """Stop every thread; returns when they have stopped."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        self._signal(signal.SIGSTOP)
        if hasattr(os, "waitid"):
            # Ended or stopped; WNOWAIT leaves what Popen wants to see.
            options = os.WSTOPPED | os.WEXITED | os.WNOWAIT | os.WNOHANG
            while os.waitid(os.P_PID, process.pid, options) is None:
                # Who else continues it before we look would have us wait for ever.
                time.sleep(0.0005)
                self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill it, and what it started."""
        process = self._process
        if process is None:
            return
        self._signal(signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    # A request that was not read any more.
                    continue
        self._process = None

    # --- what a comparison asks for ---

    def outputs(self, limit_seconds: float) -> tuple[list[Any], int]:
        """The outputs of its last call in the model's order; its peak RSS in bytes."""
        folder = self.setting.folder / f"outputs-{id(self)}"
        folder.mkdir(exist_ok=True)
        self.resume()
        answer = self._ask({"do": "outputs", "folder": str(folder)}, limit_seconds)
        self.pause()
        entries = cast(list[Any], answer["outputs"])
        return [_read(folder, entry) for entry in entries], answer["peak_bytes"]

    # --- the lines ---

    @property
    def _log(self) -> Path:
        return self.setting.folder / f"log-{id(self)}"

    def _ask(self, request: Mapping[str, Any], limit_seconds: float) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None:
            raise ContenderError("it has ended")
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError as error:
            raise ContenderError(self._death(process)) from error
        answer = json.loads(self._line(process, str(request["do"]), limit_seconds))
        if "error" in answer:
            raise ContenderError(answer["error"])
        return answer

    def _line(
        self, process: subprocess.Popen[bytes], what: str, limit_seconds: float
    ) -> bytes:
        assert process.stdout is not None, "its stdout is a pipe"
        descriptor = process.stdout.fileno()
        deadline = time.monotonic() + limit_seconds
        while b"\n" not in self._received:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], left)[0]:
                raise ContenderError(f"hung: no {what} within {limit_seconds:.0f} s")
            piece = os.read(descriptor, 1 << 16)
            if not piece:
                raise ContenderError(self._death(process))
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return line

    def _death(self, process: subprocess.Popen[bytes]) -> str:
        """How it ended, and the last that it said."""
        code = process.wait()
        said = self._log.read_text(errors="replace").strip().splitlines()
        last = f": {said[-1].strip()[:300]}" if said else ""
        if code >= 0:
            return f"crashed: exit code {code}{last}"
        name = signal.strsignal(-code) or f"signal {-code}"
        memory = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"crashed: {name.lower()}{memory}{last}"

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            # It has ended in between; the next request says so.
            return


@contextmanager
def setting_of(arrays: Mapping[str, Any], threads: int) -> Generator[Setting]:
    """A folder with the inputs, and the cores that everyone gets."""
    with tempfile.TemporaryDirectory(prefix="sardonyx-bench-") as name:
        files = write_arrays(Path(name), list(arrays.values()))
        inputs = [
            {"name": key, **file} for key, file in zip(arrays, files, strict=True)
        ]
        cpus = tuple(distinct_cores()[:threads])
        yield Setting(threads, cpus, Path(name), tuple(inputs))


@contextmanager
def _pinned(cpus: Sequence[int]) -> Generator[None]:
    """What this thread starts may use `cpus` alone: a child inherits the affinity."""
    if not cpus or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


# --- arrays in files ---


def write_arrays(folder: Path, values: Sequence[Any]) -> list[Any]:
    """Write arrays (or lists of arrays, or None) into `folder`; what says where."""
    return [_write(folder, str(place), value) for place, value in enumerate(values)]


def _write(folder: Path, stem: str, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        items = enumerate(cast(list[Any], value))
        return [_write(folder, f"{stem}-{place}", item) for place, item in items]
    array = np.asarray(value)
    kind = "string" if array.dtype.kind in "OUST" else array.dtype.name
    plain = array.astype(str) if kind == "string" else array
    with (folder / f"{stem}.npy").open("wb") as file:
        np.lib.format.write_array(file, plain, allow_pickle=False)
    return {"file": f"{stem}.npy", "dtype": kind}


def _read(folder: Path, entry: Any) -> Any:
    if entry is None:
        return None
    if isinstance(entry, list):
        return [_read(folder, item) for item in cast(list[Any], entry)]
    return read_array(folder, entry)


def read_array(folder: Path, entry: Mapping[str, str]) -> Any:
    """The array that `write_arrays` wrote, of the element type that the entry names."""
    with (folder / entry["file"]).open("rb") as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
    if entry["dtype"] == "string":
        return array.astype(object)
    if array.dtype.kind == "V":
        # The format has no name for bfloat16 and its like. What knows them is imported
        # when it is needed: a peer's process holds little of ours.
        from ...dialects.onnx.packing import dtype_of

        return array.view(dtype_of(entry["dtype"]))
    return array
