"""
What tests share: the tolerance of every dtype and the comparison that uses it; small
models; the command, run within the test's process.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler.oracle import saturates

settings.register_profile("sardonyx", derandomize=True, deadline=None)
settings.load_profile("sardonyx")

# max|a - b| / max|b| per element type; integers, booleans and strings are compared
# exactly.
TOLERANCE = {
    "float64": 1e-12,
    "complex128": 1e-12,
    "float32": 2e-6,
    "complex64": 2e-6,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}


def assert_close(found: Any, wanted: Any, factor: float = 1.0, what: str = "") -> None:
    """
    Raise AssertionError unless both agree in dtype, shape and value.

    nan equals nan and infinities equal themselves; `factor` scales the tolerance where
    a test says why (a long sum, say).
    """
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype, (
        f"{what}: dtype {found.dtype}, not {wanted.dtype}"
    )
    assert found.shape == wanted.shape, (
        f"{what}: shape {found.shape}, not {wanted.shape}"
    )
    tolerance = TOLERANCE.get(wanted.dtype.name)
    if tolerance is None:
        if wanted.dtype.kind in "fV":
            # The narrow floats, of which NumPy takes no nan for another.
            found, wanted = found.astype(np.float32), wanted.astype(np.float32)
        np.testing.assert_array_equal(found, wanted, what)
        return
    wide = np.complex128 if wanted.dtype.kind == "c" else np.float64
    found, wanted = found.astype(wide), wanted.astype(wide)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite], what)
    if not finite.any():
        return
    scale = max(np.abs(wanted[finite]).max(), np.finfo(np.float32).tiny)
    error = np.abs(found[finite] - wanted[finite]).max() / scale
    # False for nan, too.
    assert error <= tolerance * factor, (
        f"{what}: error {error:.3g} over {tolerance * factor:.3g}"
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the golden files anew instead of comparing with them",
    )


@pytest.fixture(name="golden")
def golden_fixture(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """``golden(path, text)``: `text` is what the golden file at `path` holds."""

    def golden(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        wanted = path.read_text(encoding="utf-8")
        assert text == wanted, f"{path.name} differs: look, then --update-golden"

    return golden


@pytest.fixture(scope="session", autouse=True)
def compile_anew_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests, and what they start, out of the user's cache and folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SARDONYX_CACHE", "")
        patch.setenv("SARDONYX_CRASH_DIR", str(tmp_path_factory.mktemp("crashes")))
        yield


@pytest.fixture(name="assert_close")
def assert_close_fixture() -> Any:
    return assert_close


@pytest.fixture(scope="session", name="saturates")
def saturates_fixture() -> bool:
    """
    Whether ONNX Runtime's products of uint8 by int8 saturate on this processor.

    Weights of 7 bits are right there, too (`reduce_range` of its quantization tools).
    """
    return saturates()


# --- the content of a model, whatever its values are called ---


class _Flow:
    """
    Rows that say what a model's ops are: operands by the row that gives them, constants
    by what they hold, so that the names of values and the places of constants are no
    matter. Copies that an export inserts are looked through, and an attribute that says
    its default is as if absent.
    """

    def __init__(self, model: Any):
        self.store = model.context.store
        self.known: dict[Any, Any] = {}
        self.rows: list[tuple[Any, ...]] = [
            tuple((value.name, str(value.type)) for value in values)
            for values in (model.inputs, model.outputs)
        ]
        self.block(model.main.body.block, "main")

    def block(self, block: Any, where: str) -> None:
        for place, argument in enumerate(block.args):
            self.known[argument] = f"{where}:{place}"
            # Of no known origin in the IR, it has a name in ONNX all the same.
            self.rows.append((where, str(argument.type)))
        for op in block.ops:
            if op.name == "onnx.none":
                self.known[op.results[0]] = None
            elif op.name == "onnx.Constant":
                held = self.held(op.properties["value"])
                self.known[op.results[0]] = (held, str(op.results[0].type))
            elif is_inserted(op):
                self.known[op.results[0]] = self.known[op.operands[0]]
            else:
                self.op(op)

    def op(self, op: Any) -> None:
        number = len(self.rows)
        self.rows.append(
            (
                op.name,
                [self.known[value] for value in op.operands],
                {n: self.held(v) for n, v in op.properties.items() if says(op, n, v)},
                [str(result.type) for result in op.results],
                str(op.location),
            )
        )
        for place, result in enumerate(op.results):
            self.known[result] = f"{number}.{place}"
        for region in op.regions:
            for block in region.blocks:
                self.block(block, str(number))

    def held(self, value: Any) -> str:
        from sardonyx.dialects.onnx import DenseAttr, WeightAttr
        from sardonyx.dialects.onnx.store import ArrayWeight

        if isinstance(value, WeightAttr):
            return self.store[value.data].hash
        if isinstance(value, DenseAttr) and value.array().dtype != object:
            return ArrayWeight(value.array()).hash
        return str(value)


def says(op: Any, name: str, value: Any) -> bool:
    """Whether an attribute has another value than when it is absent."""
    from sardonyx.dialects.onnx.proto import is_default

    return not hasattr(op, "schema") or not is_default(op.schema(), name, value)


def is_inserted(op: Any) -> bool:
    """Whether an op is the copy by which an export gives a value a second name."""
    from sardonyx.dialects.onnx.provenance import node_names, tensor_names

    if op.name != "onnx.Identity":
        return False
    node, tensors = (node_names(op) or ("",))[0], tensor_names(op)
    return any(node.startswith(f"{tensor}.identity") for tensor in tensors)


@pytest.fixture(name="flow_of")
def flow_of_fixture() -> Callable[[Any], list[Any]]:
    """
    ``flow_of(model)``: what its ops are, in order; equal for two models that differ in
    nothing but the names of values.
    """
    return lambda model: _Flow(model).rows


# --- small models and the command ---

IR_VERSION = 10
"""One that ONNX Runtime reads."""


def tensor(name: str, array: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def value(
    name: str, shape: Sequence[int | str | None] | None, dtype: str = "FLOAT"
) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, getattr(TensorProto, dtype), shape)


def make_model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    weights: Sequence[onnx.TensorProto] = (),
    name: str = "small",
    opset: int = 21,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, name, inputs, outputs, list(weights))
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)


def make_mlp() -> onnx.ModelProto:
    """``softmax(relu(x @ w + b) @ v)``, and the hidden layer as a second output."""
    rng = np.random.default_rng(7)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], name="first"),
        helper.make_node("Add", ["xw", "b"], ["sum"], name="shift"),
        helper.make_node("Relu", ["sum"], ["hidden"], name="gate"),
        helper.make_node("MatMul", ["hidden", "v"], ["logits"], name="second"),
        helper.make_node("Softmax", ["logits"], ["y"], name="soft"),
    ]
    weights = [
        tensor("w", rng.standard_normal((8, 6)).astype(np.float32)),
        tensor("b", rng.standard_normal(6).astype(np.float32)),
        tensor("v", rng.standard_normal((6, 4)).astype(np.float32)),
    ]
    outputs = [value("y", ["batch", 4]), value("hidden", ["batch", 6])]
    return make_model(nodes, [value("x", ["batch", 8])], outputs, weights, "mlp")


def make_pair() -> onnx.ModelProto:
    """``d = a - 2 b`` and ``s = a + b`` of two inputs."""
    nodes = [
        helper.make_node("Mul", ["b", "two"], ["b2"], name="double"),
        helper.make_node("Sub", ["a", "b2"], ["d"], name="less"),
        helper.make_node("Add", ["a", "b"], ["s"], name="more"),
    ]
    inputs = [value("a", ["n", 3]), value("b", ["n", 3])]
    outputs = [value("d", ["n", 3]), value("s", ["n", 3])]
    weights = [tensor("two", np.float32(2))]
    return make_model(nodes, inputs, outputs, weights, "pair")


@pytest.fixture(name="model_of")
def model_of_fixture() -> Callable[..., onnx.ModelProto]:
    """``model_of(nodes, inputs, outputs, weights=())``: a model."""
    return make_model


@pytest.fixture(name="value_info")
def value_info_fixture() -> Callable[..., onnx.ValueInfoProto]:
    """``value_info(name, shape, dtype="FLOAT")``."""
    return value


@pytest.fixture(name="tensor_proto")
def tensor_proto_fixture() -> Callable[..., onnx.TensorProto]:
    """``tensor_proto(name, array)``."""
    return tensor


@pytest.fixture(name="mlp_proto")
def mlp_proto_fixture() -> onnx.ModelProto:
    return make_mlp()


@pytest.fixture(name="pair_proto")
def pair_proto_fixture() -> onnx.ModelProto:
    return make_pair()


@pytest.fixture(name="mlp")
def mlp_fixture(tmp_path: Path) -> Path:
    """The path of the small network in a folder of its own."""
    path = tmp_path / "mlp.onnx"
    onnx.save(make_mlp(), path)
    return path


@pytest.fixture(name="pair")
def pair_fixture(tmp_path: Path) -> Path:
    """The path of the model with two inputs and two outputs."""
    path = tmp_path / "pair.onnx"
    onnx.save(make_pair(), path)
    return path


@dataclass(frozen=True)
class Said:
    """What a command said, and the code it ended with."""

    code: Any
    out: str
    err: str


@pytest.fixture(name="sardonyx")
def sardonyx_fixture(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """``sardonyx("run", path, …)``: the command, in this process."""

    from sardonyx.compiler.cli import main

    def run(*arguments: Any) -> Said:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(ended.value.code, said.out, said.err)

    return run


SHARED_MODELS = Path(__file__).parents[2] / "shared" / "models"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how many of the models beside the project the run could use."""
    found = len(list(SHARED_MODELS.glob("*.onnx")))
    terminalreporter.write_line(
        f"shared models beside the project: {found}"
        if found
        else "shared models beside the project: none, so their tests were not collected"
    )
