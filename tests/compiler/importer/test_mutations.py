"""
2,000 mutated model files: each imports correctly or is refused in one line, within five
seconds and a gigabyte. `tests/fuzz` makes them; ``make fuzz`` runs more.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sardonyx.dialects.errors import SardonyxError

FUZZ = Path(__file__).parents[2] / "fuzz"
SHARES = 4
"""In so many parts, so that they run beside each other."""
COUNT = 2000


@pytest.fixture(name="fuzz")
def fuzz_fixture(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``fuzz(name)``: a module of the fuzzer's, which is no package."""
    monkeypatch.syspath_prepend(FUZZ)
    return __import__


@pytest.mark.parametrize("share", range(SHARES))
def test_mutated_files(share: int) -> None:
    count = COUNT // SHARES
    command = [sys.executable, FUZZ / "hostile.py", "--jobs", "1"]
    command += ["--first", str(share * count), "--count", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {
        outcome: int(number)
        for number, _, outcome in (
            line.strip().partition(" ") for line in done.stdout.splitlines()
        )
        if number.isdigit()
    }
    # A fuzzer whose files are all refused at once, or all fine, finds nothing.
    assert counts["refused"] > count / 4
    assert counts["compiled"] > count / 20
    assert counts["compiled, equal"] > count / 50


def test_a_seed_is_always_the_same_file(fuzz: Any) -> None:
    files = fuzz("hostile_files")
    for seed in range(100):
        assert files.mutant(seed) == files.mutant(seed)
    assert files.mutant(0) != files.mutant(1)


BASES = """
import json, pathlib, sys
sys.path.insert(0, sys.argv[1])
import hostile_bases, hostile_check, hostile_files
for name, files in hostile_bases.bases().items():
    folder = pathlib.Path(sys.argv[2], name)
    folder.mkdir()
    path = hostile_files.Mutant(0, name, files).write(folder)
    print(json.dumps([name, *hostile_check.check_file(path, seed=0)]))
"""


def test_every_base_model_is_right(tmp_path: Path) -> None:
    # In a process of its own: it forks, and this one may have loaded JAX.
    command = [sys.executable, "-c", BASES, FUZZ, tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows
    for name, outcome, detail in rows:
        fine = outcome in ("compiled, equal", "compiled, no random inputs")
        assert fine, (name, outcome, detail)


# --- what the fuzzer must find ---


SCRIPT = """
import sys, time
sys.path.insert(0, sys.argv[1])
import workers
def check(seed):
    if seed == 1:
        raise ValueError("a traceback")
    if seed == 2:
        with workers.time_limit(0.2):
            while True:
                pass
    if seed == 3:
        bytearray(2 << 30)
    if seed == 4:
        import ctypes
        ctypes.string_at(0)
    if seed == 5:
        time.sleep(1000)
    return "fine", ""
workers.serve(check)
"""


def test_failures_are_found(fuzz: Any, tmp_path: Path) -> None:
    workers = fuzz("workers")
    script = tmp_path / "check.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, FUZZ]
    found = {
        report.seed: report
        for report in workers.reports(command, range(8), jobs=2, patience=2)
    }
    assert sorted(found) == list(range(8))
    assert {s for s, r in found.items() if r.outcome == "failed"} == {1, 2, 3, 4, 5}
    wanted = ("a traceback", "Overtime", "MemoryError", "SIGSEGV", "SIGKILL")
    for seed, text in enumerate(wanted, start=1):
        assert text in found[seed].detail


def test_workers_that_cannot_start(fuzz: Any, tmp_path: Path) -> None:
    workers = fuzz("workers")
    script = tmp_path / "check.py"
    script.write_text("raise SystemExit(3)")
    with pytest.raises(workers.WorkersError, match="ended with 3 before its first"):
        list(workers.reports([sys.executable, script], range(3), jobs=1))


def test_a_wrong_result_is_found(fuzz: Any, tmp_path: Path) -> None:
    check = fuzz("hostile_check")
    ones = np.ones(3, np.float32)
    check._agree("y", ones, ones * np.float32(1 + 1e-5))
    for other in (ones * 1.01, ones[:2], ones.astype(np.int64) * 2):
        with pytest.raises(AssertionError, match="y: "):
            check._agree("y", ones, other)


def test_several_lines_are_found(fuzz: Any) -> None:
    check = fuzz("hostile_check")
    assert check.one_line(SardonyxError("one line")) == "one line"
    for text in ("two\nlines", "", "  "):
        with pytest.raises(AssertionError):
            check.one_line(SardonyxError(text))
