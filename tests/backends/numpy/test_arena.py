"""Programs whose results lie in an arena: called again, and in several threads."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.numpy import memory
from sardonyx.compiler import compile_model, load_artifact
from sardonyx.compiler.driver import Executable


def network(joined: bool = True) -> onnx.ModelProto:
    """Convolutions, pooling, a view, a shuffle, branches that join, three outputs."""
    rng = np.random.default_rng(0)
    weights = {
        "w1": rng.standard_normal((8, 3, 3, 3)),
        "w2": rng.standard_normal((8, 1, 3, 3)),
        "w3": rng.standard_normal((6, 16, 1, 1)),
        "b": rng.standard_normal(8),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1", "b"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node("Conv", ["r", "w2"], ["d"], pads=[1] * 4, group=8),
        helper.make_node("Tanh", ["d"], ["t"]),
        helper.make_node("Concat", ["r", "t"], ["c"], axis=1),
        helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Conv", ["p", "w3"], ["y"]),
        helper.make_node("Transpose", ["y"], ["turned"], perm=[0, 2, 3, 1]),
        helper.make_node("GlobalAveragePool", ["y"], ["g"]),
    ]
    held = [
        numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()
    ]
    names = ("turned", "g", "t") if joined else ("g",)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", 1, [2, 3, 11, 13])],
        [helper.make_tensor_value_info(name, 1, None) for name in names],
        held,
    )
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def image(seed: int) -> Any:
    return np.random.default_rng(seed).standard_normal((2, 3, 11, 13)).astype("f")


@pytest.fixture(name="executable", scope="module")
def executable_fixture() -> Executable:
    made = compile_model(network(), "numpy", "O2")
    assert "room = rooms(ARENA, PLACES)" in made.source
    assert ", out=room[" in made.source
    return made


def test_each_call_gives_its_own_results(executable: Executable, assert_close: Any):
    reference = ReferenceEvaluator(network())
    kept = [(x, executable(x)) for x in map(image, range(3))]
    # What an earlier call gave is as it was: no later one wrote over it.
    for x, found in kept:
        for one, wanted in zip(found, reference.run(None, {"x": x}), strict=True):
            assert_close(one, wanted, factor=8)


def test_results_may_be_written_to(executable: Executable):
    x = image(4)
    first = executable(x)
    wanted = [one.copy() for one in first]
    for one in first:
        one[...] = np.nan
    again = executable(x)
    assert all(np.array_equal(a, b) for a, b in zip(again, wanted, strict=True))


def test_threads_do_not_meet(executable: Executable):
    images = [image(seed) for seed in range(4)]
    wanted = [executable(x) for x in images]
    start, wrong = threading.Barrier(4), []

    def work(place: int) -> None:
        start.wait()
        for _ in range(30):
            found = executable(images[place])
            pairs = zip(found, wanted[place], strict=True)
            wrong.extend(place for a, b in pairs if not np.array_equal(a, b))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_artifact_gives_the_same_bits(executable: Executable, tmp_path: Path):
    executable.save(tmp_path / "out")
    artifact = load_artifact(tmp_path / "out")
    for x in (image(5), image(6), image(5)):
        pairs = zip(artifact(x), executable(x), strict=True)
        assert all(a.tobytes() == b.tobytes() for a, b in pairs)


def test_the_arena_is_the_size_that_the_plan_says(executable: Executable):
    executable(image(0))
    held = executable.function.__globals__["KEPT"].rooms
    places = executable.function.__globals__["PLACES"]
    assert held.keys() == places.keys()
    first = min(array.ctypes.data for array in held.values())
    last = max(array.ctypes.data + array.nbytes for array in held.values())
    assert first % 64 == 0
    assert last - first <= executable.function.__globals__["ARENA"]


def test_a_view_of_the_arena_is_moved_to_its_place():
    block = np.arange(6.0)
    place = np.empty(3)
    assert memory.settled(block[1:4], place) is place
    assert place.tolist() == [1, 2, 3]
    new = np.ones(3)
    assert memory.settled(new, place) is new
    both = memory.each_settled((block[:3], None, new), (place, None, None))
    assert both[0] is place
    assert both[1:] == (None, new)


def test_the_workspace_is_one_and_grows():
    memory.scratch((10,), np.float32)
    small = memory.scratch((2, 3), np.float32)
    small[...] = 1
    behind = memory.scratch((4,), np.float32, 6)
    behind[...] = 2
    assert memory.scratch((10,), np.float32).tolist() == [1] * 6 + [2] * 4
    assert memory.scratch((1000,), np.float64).shape == (1000,)


def test_without_a_plan_nothing_is_kept():
    plain = compile_model(network(joined=False), "numpy", "O0")
    assert "room" not in plain.source
    x = image(1)
    (first,) = plain(x)
    plain(image(2))
    assert np.array_equal(first, plain(x)[0])
