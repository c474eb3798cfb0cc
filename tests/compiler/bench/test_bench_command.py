"""``sardonyx bench``: the table, the document, a folder, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sardonyx.compiler.bench import contenders, machine
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.pipelines import SOMETIMES

NO_TIME = ("--refuse-budget", 0)
QUICK = ("--rounds", 4, "--budget", 0.1, "--threads", 1)


def test_the_document(sardonyx: Any, mlp: Path) -> None:
    given = ("--vs", "onnxruntime", "-b", "numpy", "--dim", "batch=2", "--json")
    said = sardonyx("bench", mlp, *QUICK, *given)
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found["ok"] is True
    assert found["threads"] == 1
    assert found["dims"] == {"batch": 2}
    assert found["protocol"]["rounds"] == 4
    assert found["absent"] == []
    assert found["versions"]["numpy"] == np.__version__
    (model,) = found["models"]
    assert model["model"] == "mlp"
    assert model["inputs"] == [{"name": "x", "dtype": "float32", "shape": [2, 8]}]
    assert (model["ratio_to"], model["judged_by"]) == ("onnxruntime", "onnxruntime")
    theirs, ours = model["rows"]
    assert (theirs["contender"], ours["contender"]) == ("onnxruntime", "numpy")
    assert theirs["ratio"] == 1.0
    assert theirs.keys() == ours.keys()
    for row in (theirs, ours):
        assert row["failure"] is None
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
        assert row["first_result_seconds"] >= row["load_seconds"] > 0
        assert row["affinity"] == 1
    assert ours["ratio_low"] <= ours["ratio"] <= ours["ratio_high"]
    assert ours["ratio_p10"] == pytest.approx(ours["p10_ms"] / theirs["p10_ms"])
    assert ours["agrees"] is True
    assert ours["max_error"] <= ours["tolerance"] == 1e-4
    assert found["geometric_means"]["numpy"]["models"] == 1


def test_o3_first_undoes_what_is_slower(sardonyx: Any, mlp: Path) -> None:
    given = ("-b", "numpy", "--vs", "none", "-O3", "--refuse-budget", 0, "--json")
    said = sardonyx("bench", mlp, *QUICK, *given)
    assert (said.code, said.err) == (0, "")
    found = json.loads(said.out)
    assert found["pipeline"] == "O3"
    refused = found["refused"]["mlp"]["numpy"]
    # Without time to measure them, what -O3 has beyond -O2 goes.
    rewriting = [row["pass"] for row in refused["passes"] if row["outcome"] == "undone"]
    assert set(rewriting) <= set(SOMETIMES)
    assert "fuse-gelu" in refused["pipeline"]
    assert refused["threads"] == 1
    (row,) = found["models"][0]["rows"]
    assert row["failure"] is None


def test_o2_undoes_nothing_unless_asked(sardonyx: Any, mlp: Path) -> None:
    given = ("-b", "numpy", "--vs", "none")
    plain = sardonyx("bench", mlp, *QUICK, *given, "--json")
    assert json.loads(plain.out)["refused"] == {}
    asked = sardonyx("bench", mlp, *QUICK, *given, "--refuse-slower", *NO_TIME)
    assert "mlp, the passes for numpy:" in asked.out
    assert "measured on 1 threads" in asked.out


def test_the_table_says_who_is_absent(
    sardonyx: Any, mlp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(contenders.PACKAGES, "openvino", "no_such_package")
    given = ("--budget", 0.005, "-b", "numpy", "--vs", "openvino,reference")
    said = sardonyx("bench", mlp, *QUICK, *given)
    assert said.code == 0
    lines = said.out.splitlines()
    assert "openvino: not installed: pip install no_such_package" in lines
    assert any(line.split()[:2] == ["mlp", "reference"] for line in lines)
    assert any(line.split()[:2] == ["mlp", "numpy"] for line in lines)
    assert f"numpy {np.__version__}" in said.out
    assert "threads of each: 1," in said.out
    assert "ratios are to reference, errors beside reference" in said.out
    # So little time holds no whole blocks.
    assert "budget: 4 x " in said.out


def test_a_wrong_result_is_shown_and_counts(
    sardonyx: Any, mlp: Path, mlp_proto: onnx.ModelProto
) -> None:
    held = mlp_proto.graph.initializer[0]
    array = numpy_helper.to_array(held) + np.float32(1)
    held.CopyFrom(numpy_helper.from_array(array, held.name))
    wrong = compile_model(mlp_proto, "numpy").save(mlp.parent / "wrong")
    given = ("-b", "none", "--vs", "reference", "--artifact", wrong)
    said = sardonyx("bench", mlp, *QUICK, *given)
    assert said.code == 1
    (line,) = (line for line in said.out.splitlines() if f"{wrong}/" in line)
    assert "WRONG: error over" in line


def test_a_folder_goes_on_past_what_cannot_be_read(
    sardonyx: Any, mlp: Path, pair: Path
) -> None:
    (mlp.parent / "broken.onnx").write_bytes(b"none")
    said = sardonyx("bench", mlp.parent, *QUICK, "-b", "numpy", "--vs", "reference")
    assert said.code == 1
    assert "broken: " in said.out
    for model in ("mlp", "pair"):
        assert any(
            line.split()[:2] == [model, "numpy"] for line in said.out.splitlines()
        )
    assert "geometric mean of ratios, numpy: " in said.out
    assert "(2 of 3 models)" in said.out


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("-b", "torch"), "--backend: found 'torch', wanted numpy, jax or none"),
        (("--vs", "numpy"), "--vs: found 'numpy', wanted onnxruntime, openvino"),
        (("--vs", ""), "--vs: found ''"),
        (("-b", "none", "--vs", "none"), "nobody to time"),
        (("--rounds", "3"), "a whole number from 4 on"),
        (("--threads", "4096"), "--threads: found 4096, wanted at most"),
        (("--artifact", "nowhere"), "--artifact: nowhere: no manifest.json"),
        (("-p", "no-such-pass"), "found pass 'no-such-pass'"),
        (("--dim", "nope=2"), "found dimension 'nope', wanted batch"),
    ],
)
def test_refusals(
    sardonyx: Any, mlp: Path, given: tuple[str, ...], complaint: str
) -> None:
    said = sardonyx("bench", mlp, *given)
    assert said.code == 2
    assert complaint in said.err
    assert len(said.err.splitlines()) == 1


def test_folders_without_models_are_refused(
    sardonyx: Any, tmp_path: Path, mlp: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "found no .onnx file" in sardonyx("bench", empty).err
    compile_model(mlp, "numpy").save(tmp_path / "out")
    assert "give its model and --artifact" in sardonyx("bench", tmp_path / "out").err
    assert sardonyx("bench", tmp_path / "gone.onnx").code == 2


# --- the machine ---


def test_the_machine_is_described() -> None:
    found = machine.describe_machine()
    assert found.processor
    assert found.cores == len(machine.distinct_cores())
    assert set(found.flags) <= set(machine.TELLING_FLAGS)
    assert found.memory_bytes is not None
    assert found.memory_bytes > 2**27
    assert "openblas" in (machine.describe_versions()["blas"] or "")


def test_threads_of_one_core_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    siblings = {0: "0,2", 1: "1,3", 2: "0,2", 3: "1,3"}
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(machine, "_siblings", siblings.__getitem__)
    assert machine.distinct_cores() == [0, 1]
