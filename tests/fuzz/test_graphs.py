"""A fixed few of the random graphs that ``make fuzz`` draws by the thousand."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def ran(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code that sees the modules beside this file."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False
    )


def test_sixty_graphs_agree() -> None:
    code = "from graphs import check_seed\nfor n in 1, 2, 3: print(*check_seed(n))"
    found = ran(code)
    assert found.returncode == 0, found.stderr[-4000:]
    outcomes = found.stdout.split("\n")[:3]
    assert [line.strip() for line in outcomes] == ["agree"] * 3


def test_a_wrong_kernel_is_found() -> None:
    code = """
from sardonyx.backends.numpy import TABLE
TABLE["onnx.Neg"] = TABLE["onnx.Abs"]
from graph_check import Mismatch
from graph_steps import negated
import graph_steps
graph_steps.STEPS = (negated,)
from graphs import check_seed
try:
    check_seed(1)
except Mismatch as error:
    print(error, *error.__notes__)
"""
    found = ran(code)
    assert found.returncode == 0, found.stderr[-4000:]
    assert "differs from the evaluator" in found.stdout
    # Shrunk, and told as text.
    assert "= Neg (" in found.stdout
    assert "v3_0" not in found.stdout


def test_the_oracles_errors_are_not_ours() -> None:
    """The evaluator has no scalar Softsign; ONNX Runtime's LogSoftmax drops nan."""
    code = '''
import numpy as np
from graph_check import NUMPY, Mismatch, check
from graph_drawing import Agreement, Drawn
from onnx import parser
from sardonyx.backends.numpy import TABLE

model = parser.parse_model("""<ir_version: 10, opset_import: ["" : 21]>
alone (double[2] x, float z) => (double[2] y, float s) {
  y = LogSoftmax <axis: int = 0> (x)
  s = Softsign (z)
}""")
feeds = {"x": np.array([3, np.nan]), "z": np.array(3, np.float32)}
drawn = Drawn(model, feeds, dict.fromkeys(["y", "s"], Agreement.nearly))
print(check(drawn, NUMPY))
TABLE["onnx.Softsign"] = TABLE["onnx.Tanh"]
try:
    check(drawn, NUMPY)
except Mismatch:
    print("but for that")
'''
    found = ran(code)
    assert found.returncode == 0, found.stderr[-4000:]
    assert "node by node" in found.stdout
    assert "but for that" in found.stdout
