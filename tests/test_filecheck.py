"""Runs every file under tests/filecheck through lit, each as a test of its own."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "filecheck"
FILES = sorted(path.relative_to(FOLDER) for path in FOLDER.rglob("*.mlir"))


def run_lit(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """Lit on files, its output (and that of a failing test) as text."""
    program = Path(sys.executable).with_name("lit")
    command = [program, "-v", "--order", "lexical", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", FILES, ids=str)
def test_file(file: Path, tmp_path: Path) -> None:
    done = run_lit("--param", f"output={tmp_path}", FOLDER / file)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert re.search(r"Passed *: 1 ", done.stdout), done.stdout


def test_there_are_files() -> None:
    assert len(FILES) >= 12


def test_a_wrong_expectation_is_caught(tmp_path: Path) -> None:
    config = FOLDER / "lit.cfg"
    (tmp_path / "lit.cfg").write_text(config.read_text(encoding="utf-8"))
    (tmp_path / "wrong.mlir").write_text(
        "// RUN: sardonyx opt %s | filecheck %s\n// CHECK: onnx.Relu\n"
        '"test.op"() : () -> ()\n'
    )
    done = run_lit("--param", f"output={tmp_path / 'out'}", tmp_path)
    assert done.returncode == 1
    assert "wrong.mlir" in done.stdout
