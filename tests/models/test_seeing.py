"""Real models, looked at: dumps that are small, the same bytes, differences."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sardonyx.compiler.debug.diff import diff

PROGRAM = """
import sys
from sardonyx.compiler.cli import main
model, goal = sys.argv[1:]
for arguments in (
    ["opt", model, "-O2", "-o", goal + ".mlir"],
    ["compile", model, "-O2", "-b", "numpy", "-o", goal],
):
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code, arguments
"""
LARGEST = 5_000_000


SHARED = Path(__file__).parents[3] / "shared" / "models"


def there(*names: str) -> list[str]:
    """Those of the shared models that are beside the project."""
    return [name for name in names if (SHARED / f"{name}.onnx").exists()]


@pytest.mark.parametrize("large", ["resnet50", *there("minilm_l6")])
def test_every_pass_of_a_large_model_is_dumped_small(
    large: str, path_of: Any, tmp_path: Path, sardonyx: Any
) -> None:
    path, folder = path_of(large), tmp_path / "dump"
    assert path.stat().st_size > 80_000_000
    spec = 'O3,expand-functions,fixpoint{passes="O1"}'
    said = sardonyx("opt", path, "-p", spec, "--dump-dir", folder)
    assert said.code == 0, said.err
    written = sum(file.stat().st_size for file in folder.iterdir())
    assert written < LARGEST, written
    stages = json.loads((folder / "index.json").read_text())["stages"]
    assert len(stages) >= 12
    assert sum(not stage["changed"] for stage in stages) > 3
    for stage in stages:
        text = (folder / stage["file"]).read_text()
        assert "#onnx.weight<" in text
        assert max(map(len, text.splitlines())) < 2_000


@pytest.mark.parametrize("small", ["squeezenet", *there("bert_tiny_dynamic")])
def test_other_processes_give_the_same_bytes(
    small: str, path_of: Any, tmp_path: Path
) -> None:
    found: list[dict[str, bytes]] = []
    for seed in ("1", "20"):
        folder = tmp_path / seed
        folder.mkdir()
        subprocess.run(
            [sys.executable, "-c", PROGRAM, path_of(small), folder / "m"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
        files = [path for path in folder.rglob("*") if path.is_file()]
        found.append({path.name: path.read_bytes() for path in files})
    assert len(found[0]) == 6
    assert found[0] == found[1]


@pytest.mark.parametrize("small", ["squeezenet", *there("bert_tiny_dynamic")])
def test_a_model_before_and_after_passes(small: str, path_of: Any) -> None:
    path = path_of(small)
    assert diff(path, path, "O2", "O2", run=False).same
    found = diff(path, path, "", "fold-constants,remove-identities,cse,dce")
    assert not found.same
    assert found.removed
    assert not found.added
    assert not found.interface
    assert not found.moved
    assert all(error.relative < 1e-3 for error in found.errors)
    assert found.errors
