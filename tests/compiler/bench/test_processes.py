"""Contenders as processes: timed, stopped, crashing, hanging."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from sardonyx.compiler.bench.machine import distinct_cores
from sardonyx.compiler.bench.process import (
    ContenderProcess,
    Setting,
    read_array,
    write_arrays,
)
from sardonyx.compiler.bench.protocol import (
    ContenderError,
    Plan,
    summarize,
    time_fairly,
)

PROGRAM = """
import os, signal, sys, threading, time
import numpy as np
from sardonyx.compiler.bench.child import Runner, serve

def spin():
    while True:
        pass

def act(what):
    match what:
        case "sleep":
            time.sleep(0.02)
        case "spin":
            threading.Thread(target=spin, daemon=True).start()
            return lambda: act("sleep")
        case "exit":
            print("the last words", file=sys.stderr)
            sys.stderr.flush()
            os._exit(3)
        case "fault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(600)
        case "memory":
            raise MemoryError
        case "raise":
            raise ValueError("two\\nlines")
        case "chatter":
            print("this is no answer")
            os.write(1, b"nor is this\\n")
    return [np.arange(3)]

def make(request):
    when, what = request["contender"]["when"], request["contender"]["what"]
    if when == "make":
        act(what)
    call = act(what) if what == "spin" else None
    calls = []
    def run():
        calls.append(None)
        if call is not None:
            return call()
        return act(what if when == "call" or len(calls) > 4 else "nothing")
    return Runner(run)

serve(make)
"""


Open = Callable[..., ContenderProcess]


@pytest.fixture(name="opened")
def opened_fixture(tmp_path: Path) -> Iterator[Open]:
    """``opened(what, when="call")``: a contender that does `what` at that time."""
    script = tmp_path / "contender.py"
    script.write_text(PROGRAM)
    running: list[ContenderProcess] = []

    def opened(what: str, when: str = "call", cores: int = 1) -> ContenderProcess:
        setting = Setting(cores, tuple(distinct_cores()[:cores]), tmp_path)
        program = (sys.executable, "-P", str(script))
        request = {"what": what, "when": when}
        running.append(ContenderProcess(what, request, setting, program))
        return running[-1]

    yield opened
    for contender in running:
        contender.close()


def pid_of(contender: ContenderProcess) -> int:
    assert contender._process is not None
    return contender._process.pid


def stat(pid: int) -> tuple[str, int]:
    """The state of a process, and the ticks that it has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return fields[0], int(fields[11]) + int(fields[12])


# --- timing ---


def test_a_known_time_is_measured(opened: Open) -> None:
    (timing,) = time_fairly([opened("sleep")], Plan(rounds=2, calls=6, dropped=2))
    assert timing.failure is None
    assert [len(block.seconds) for block in timing.blocks] == [4, 4]
    assert 0.02 <= summarize(timing.blocks).median_seconds < 0.2
    assert timing.started is not None
    assert timing.started.call_seconds >= 0.02
    assert timing.started.first_seconds >= 0.02


def test_whoever_is_not_timed_does_not_run(opened: Open) -> None:
    spinner, sleeper = opened("spin"), opened("sleep")
    for contender in (spinner, sleeper):
        contender.start(60)
        contender.pause()
    pid = pid_of(spinner)
    state, before = stat(pid)
    assert state == "T"
    sleeper.resume()
    sleeper.block(10, 60)
    assert stat(pid) == ("T", before)
    # Not stopped, its thread works all the while: the pause is what kept it from that.
    spinner.resume()
    sleeper.block(20, 60)
    assert stat(pid)[1] > before


def test_who_continues_it_at_once_does_not_hang_the_pause(opened: Open) -> None:
    spinner = opened("spin")
    spinner.start(60)
    send, sent = spinner._signal, list[signal.Signals]()

    def send_and_undo(number: signal.Signals) -> None:
        sent.append(number)
        send(number)
        if len(sent) == 1:
            send(signal.SIGCONT)

    spinner._signal = send_and_undo
    spinner.pause()
    assert len(sent) > 1
    assert stat(pid_of(spinner))[0] == "T"


def test_the_protocol_stops_the_others(opened: Open) -> None:
    spinner, sleeper = opened("spin"), opened("sleep")
    ticks: list[int] = []
    timed = sleeper.block

    def block(calls: int, limit_seconds: float) -> list[float]:
        before = stat(pid_of(spinner))
        seconds = timed(calls, limit_seconds)
        assert before[0] == "T"
        ticks.append(stat(pid_of(spinner))[1] - before[1])
        return seconds

    sleeper.block = block
    found = time_fairly([spinner, sleeper], Plan(rounds=3, calls=4, dropped=1))
    assert [timing.failure for timing in found] == [None, None]
    assert ticks == [0, 0, 0]


def test_the_cores_are_those_of_the_setting(opened: Open) -> None:
    here = os.sched_getaffinity(0)
    started = opened("nothing").start(60)
    assert started.affinity == 1
    assert started.os_threads == 1
    assert os.sched_getaffinity(0) == here


def test_outputs_are_those_of_the_last_call(opened: Open) -> None:
    contender = opened("nothing")
    contender.start(60)
    contender.pause()
    (found,), peak = contender.outputs(60)
    np.testing.assert_array_equal(found, np.arange(3))
    assert 2**20 < peak < 2**33


def test_what_a_library_prints_is_no_answer(opened: Open) -> None:
    contender = opened("chatter")
    contender.start(60)
    assert len(contender.block(3, 60)) == 3


# --- failures ---

FAILURES = {
    "exit": "crashed: exit code 3: the last words",
    "fault": "crashed: segmentation fault",
    "killed": "crashed: killed (out of memory?)",
    "memory": "out of memory",
    "raise": "ValueError: two lines",
}


@pytest.mark.parametrize(
    ("what", "when"),
    [
        *((what, "call") for what in FAILURES),
        *(("raise", "make"), ("raise", "later"), ("exit", "later")),
    ],
)
def test_a_failure_has_its_reason_and_the_others_go_on(
    opened: Open, what: str, when: str
) -> None:
    contenders = [opened(what, when), opened("nothing")]
    bad, good = time_fairly(contenders, Plan(rounds=1, calls=4, block_seconds=0))
    assert bad.failure == FAILURES[what]
    assert good.failure is None
    assert len(good.blocks) == 1


def test_one_that_hangs_is_given_up(opened: Open) -> None:
    contender = opened("hang")
    (timing,) = time_fairly([contender], Plan(limit_seconds=1.0))
    assert timing.failure == "hung: no start within 1 s"
    assert contender._process is None


def test_one_that_hangs_later_is_given_up(opened: Open) -> None:
    contender = opened("hang", "later")
    contender.start(60)
    with pytest.raises(ContenderError, match="hung: no block within 1 s"):
        contender.block(4, 1.0)


def test_one_that_died_in_between_is_noticed(opened: Open) -> None:
    contender = opened("nothing")
    contender.start(60)
    contender.pause()
    os.kill(pid_of(contender), 9)
    contender.resume()
    with pytest.raises(ContenderError, match="crashed: killed"):
        contender.block(4, 60)


ORPHAN = """
import os, sys
from pathlib import Path
from sardonyx.compiler.bench.process import ContenderProcess, Setting

script, folder = sys.argv[1:]
request = {"what": "spin", "when": "call"}
program = (sys.executable, "-P", script)
contender = ContenderProcess("c", request, Setting(1, (), Path(folder)), program)
contender.start(60)
contender.pause()
print(contender._process.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_stopped_contender_does_not_outlive_its_parent(
    opened: Open, tmp_path: Path
) -> None:
    opened("nothing")
    arguments = [sys.executable, "-c", ORPHAN, str(tmp_path / "contender.py")]
    done = subprocess.run([*arguments, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    pid = int(done.stdout)
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}").exists() and stat(pid)[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --- arrays ---


@pytest.mark.parametrize(
    "array",
    [
        np.float32([1.5, np.nan]),
        np.zeros((0, 3), np.int64),
        np.bool_([True, False]),
        np.array(7, np.uint8),
        np.array([1.5, -2], ml_dtypes.bfloat16),
        np.array([1, -2], ml_dtypes.int4),
        np.array([0.5], ml_dtypes.float8_e4m3fn),
        np.array(["a", "bc\n"], object),
        np.complex64([1 + 2j]),
    ],
    ids=lambda a: str(a.dtype),
)
def test_arrays_travel_unchanged(tmp_path: Path, array: Any) -> None:
    (entry,) = write_arrays(tmp_path, [array])
    found = read_array(tmp_path, entry)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert [str(x) for x in found.flat] == [str(x) for x in array.flat]


def test_objects_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "0.npy").open("wb") as file:
        np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        read_array(tmp_path, {"file": "0.npy", "dtype": "string"})
