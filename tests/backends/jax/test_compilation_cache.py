"""The user's cache of compiled programs: where it is, who uses it, who does not."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from sardonyx.backends.jax import calls
from sardonyx.compiler import compile_model

OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def options() -> dict[str, Any]:
    return {name: getattr(jax.config, name) for name in OPTIONS}


# --- the folder ---


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"SARDONYX_CACHE": "{tmp}/mine"}, "mine/jax"),
        ({"XDG_CACHE_HOME": "{tmp}/caches"}, "caches/sardonyx/jax"),
        ({"HOME": "{tmp}"}, ".cache/sardonyx/jax"),
        ({"XDG_CACHE_HOME": "not/absolute", "HOME": "{tmp}"}, ".cache/sardonyx/jax"),
        ({"SARDONYX_CACHE": "", "XDG_CACHE_HOME": "{tmp}/caches"}, None),
    ],
)
def test_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variables: dict[str, str],
    wanted: str | None,
) -> None:
    for name in ("SARDONYX_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text.format(tmp=tmp_path))
    assert calls.cache_folder() == (wanted and str(tmp_path / wanted))
    assert wanted is None or (tmp_path / wanted).stat().st_mode & 0o777 == 0o700
    assert wanted is not None or not list(tmp_path.iterdir())


def test_a_folder_that_others_may_write_to_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    (tmp_path / "jax").mkdir()
    for mode, used in ((0o700, True), (0o755, True), (0o770, False), (0o702, False)):
        (tmp_path / "jax").chmod(mode)
        assert (calls.cache_folder() is not None) == used, oct(mode)


def test_another_user_s_folder_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    assert calls.cache_folder() is not None
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert calls.cache_folder() is None


def test_a_folder_that_cannot_be_written_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path))
    assert calls.cache_folder() is not None
    # Root may write everywhere: the answer is given for whoever runs this.
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert calls.cache_folder() is None


def test_a_folder_that_cannot_be_made_breaks_nothing(
    monkeypatch: pytest.MonkeyPatch, mlp: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "file"))
    assert calls.cache_folder() is None
    # Warnings are errors here.
    assert len(compile_model(mlp, "jax")(np.ones((2, 8), np.float32))) == 2


# --- whose compilations use it ---


@pytest.fixture(name="cache")
def cache_fixture(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache that keeps even what compiles at once; the folder of its entries."""
    monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(calls, "MIN_COMPILE_SECONDS", 0)
    return tmp_path / "cache" / "jax"


def test_it_is_on_for_the_call_and_the_thread_alone(cache: Path) -> None:
    seen: dict[str, Any] = {}

    def note(name: str) -> None:
        seen[name] = options()

    def compiled(weights: Any, x: Any) -> Any:
        note("inside")
        other = threading.Thread(target=note, args=["another thread"])
        other.start()
        other.join()
        return (x,)

    before = options()
    assert before["jax_compilation_cache_dir"] is None
    # The second call has the shapes of the first, so nothing is compiled in it.
    for size, wanted in ((3, str(cache)), (3, None), (4, str(cache))):
        calls.call(compiled, {}, [np.ones(size, np.float32)])
        assert seen["inside"]["jax_compilation_cache_dir"] == wanted
        assert seen["another thread"] == options() == before


def test_it_is_off_again_after_a_failure(cache: Path) -> None:
    def failing(weights: Any, x: Any) -> Any:
        assert jax.config.jax_compilation_cache_dir == str(cache)
        raise ValueError("no")

    before = options()
    with pytest.raises(ValueError, match="no"):
        calls.call(failing, {}, [np.ones(3, np.float32)])
    assert options() == before


@pytest.fixture(name="keep_all")
def keep_all_fixture() -> Iterator[None]:
    """The caller's own setting: a cache, if there were one, would keep all."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, 0)
    yield
    jax.config.update(name, before)


@pytest.mark.usefixtures("keep_all")
def test_the_caller_s_compilations_stay_out(cache: Path) -> None:
    x = np.ones(3, np.float32)
    ours = jax.jit(lambda weights, x: (x * 3 + 1,))
    for add in (1, 2):
        jax.jit(lambda x, add=add: x * 5 + add)(x)
        assert len(list(cache.glob("*-cache"))) == add - 1
        calls.call(ours, {}, [x])
    assert len(list(cache.glob("*-cache"))) == 1


def test_what_compiles_at_once_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setattr(calls, "MIN_COMPILE_SECONDS", 1e3)
    calls.call(jax.jit(lambda weights, x: (x * 7,)), {}, [np.ones(3, np.float32)])
    assert not list(cache.iterdir())


# --- from one process to the next ---

START = """
import json, sys
from pathlib import Path
import jax, numpy as np
folder, theirs = sys.argv[1:]
if theirs:
    jax.config.update("jax_compilation_cache_dir", theirs)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
sys.path.insert(0, folder)
import model
model.MIN_COMPILE_SECONDS = 0
found = model.run(np.ones((2, 8), np.float32))
print(json.dumps({
    "hits": events.count("/jax/compilation_cache/cache_hits"),
    "misses": events.count("/jax/compilation_cache/cache_misses"),
    "folder": jax.config.jax_compilation_cache_dir,
    "result": [np.asarray(y).tobytes().hex() for y in found],
}))
"""


def start(folder: Path, cache: Path, theirs: str = "") -> dict[str, Any]:
    """What a new process says of running the artifact in `folder`."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", START, str(folder), theirs],
        env={**os.environ, "SARDONYX_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_second_process_finds_what_the_first_compiled(
    mlp: Path, tmp_path: Path
) -> None:
    folder = compile_model(mlp, "jax").save(tmp_path / "out")
    files = sorted(os.listdir(folder))
    cache = tmp_path / "cache"
    first, second = start(folder, cache), start(folder, cache)
    assert (first["hits"], first["misses"]) == (0, 1)
    assert (second["hits"], second["misses"]) == (1, 0)
    assert first["folder"] is second["folder"] is None
    assert first["result"] == second["result"]
    assert [path.name for path in cache.iterdir()] == ["jax"]
    kept = sorted(set(os.listdir(folder)) - {"__pycache__"})
    assert kept == files, "compiled code is pickled: it never lies in an artifact"


def test_a_caller_s_own_folder_is_theirs(mlp: Path, tmp_path: Path) -> None:
    folder = compile_model(mlp, "jax").save(tmp_path / "out")
    cache, theirs = tmp_path / "cache", tmp_path / "theirs"
    said = start(folder, cache, str(theirs))
    assert said["folder"] == str(theirs)
    assert said["misses"] == 1
    assert len(list(theirs.glob("*-cache"))) == 1
    assert not list(cache.rglob("*-cache"))
