"""Artifacts that hold a window of their weights: the same results, less in memory."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from sardonyx.backends.program import LoweringError
from sardonyx.compiler.driver import compile_model

WIDTH, LAYERS = 512, 10
LAYER = 4 * WIDTH * WIDTH
MB = 1_000_000


@pytest.fixture(name="tower")
def tower_fixture(model_of: Any, value_info: Any, tensor_proto: Any) -> Any:
    """Products one after another, a megabyte each, of rows of a table of 8 MB."""
    rng = np.random.default_rng(0)
    table = rng.standard_normal((4096, WIDTH), np.float32)
    weights = [tensor_proto("table", table)]
    nodes = [helper.make_node("Gather", ["table", "rows"], ["h0"], "look")]
    for n in range(LAYERS):
        matrix = rng.standard_normal((WIDTH, WIDTH), np.float32) / 20
        weights += [tensor_proto(f"w{n}", matrix)]
        weights += [tensor_proto(f"b{n}", rng.standard_normal(WIDTH, np.float32))]
        nodes.append(helper.make_node("MatMul", [f"h{n}", f"w{n}"], [f"p{n}"], f"m{n}"))
        nodes.append(helper.make_node("Add", [f"p{n}", f"b{n}"], [f"s{n}"], f"a{n}"))
        nodes.append(helper.make_node("Tanh", [f"s{n}"], [f"h{n + 1}"], f"t{n}"))
    inputs = [value_info("rows", [4], "INT64")]
    return model_of(nodes, inputs, [value_info(f"h{LAYERS}", [4, WIDTH])], weights)


@pytest.fixture(name="loaded")
def loaded_fixture(tmp_path: Path) -> Iterator[Any]:
    """``loaded(source, limit)``: the module of the artifact of a model."""
    names: list[str] = []

    def loaded(source: Any, limit: int | None) -> Any:
        folder = tmp_path / f"artifact{len(names)}"
        compile_model(source, "numpy", memory_limit=limit).save(folder)
        names.append(f"streamed_{len(names)}")
        spec = importlib.util.spec_from_file_location(names[-1], folder / "model.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield loaded
    for name in names:
        sys.modules.pop(name, None)


def resident(module: Any) -> int:
    """The bytes of the artifact's weights that this process has in memory."""
    path = str(Path(module.__file__).parent / "weights.safetensors")
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss" and inside:
            total += 1024 * int(rest.split()[0])
        elif "-" in name.split()[0]:
            inside = line.endswith(path)
    return total


def watched(module: Any) -> list[int]:
    """What is in memory whenever the program says where it is, from now on."""
    found: list[int] = []
    reach = module.reach

    def reach_and_look(step: int) -> None:
        reach(step)
        found.append(resident(module))

    module.reach = reach_and_look
    return found


ROWS = {"rows": np.array([1, 700, 2000, 4095])}
FAULT = 1 << 16
"""A page that is read brings its neighbours, 16 together."""


def test_a_window_gives_the_same_and_holds_no_more(tower: Any, loaded: Any) -> None:
    whole, window = loaded(tower, None), loaded(tower, 4 * MB)
    (wanted,) = whole.run(**ROWS)
    held = watched(window)
    for _ in range(3):
        (found,) = window.run(**ROWS)
        np.testing.assert_array_equal(found, wanted)
    assert len(held) == 3 * (1 + LAYERS)
    assert max(held) < 4 * MB + len(ROWS["rows"]) * FAULT
    # Without the limit all of it comes in.
    assert resident(whole) > LAYERS * LAYER


def test_what_is_not_given_back_is_seen(tower: Any, loaded: Any) -> None:
    window = loaded(tower, 4 * MB)
    window.release = lambda first, step: None
    held = watched(window)
    window.run(**ROWS)
    assert max(held) > 2 * 4 * MB


def test_the_next_weights_are_there_before_they_are_read(
    tower: Any, loaded: Any
) -> None:
    window = loaded(tower, 4 * MB)
    window.run(**ROWS)
    # It stands at the last layer: the table is not read ahead, two layers fit besides.
    # What it had read before it came here may be said to be ready as well.
    ready = window.STREAM["ready"]
    for _ in range(2000):
        if ready >= {1, 2}:
            break
        window.time.sleep(0.001)
    assert ready >= {1, 2}


def test_what_fits_whole_is_not_streamed(tower: Any, loaded: Any) -> None:
    module = loaded(tower, 100 * MB)
    module.run(**ROWS)
    assert not module.STREAM


def test_without_an_artifact_nothing_is_given_back(tower: Any) -> None:
    plain = compile_model(tower, "numpy")
    window = compile_model(tower, "numpy", memory_limit=4 * MB)
    np.testing.assert_array_equal(window(**ROWS)[0], plain(**ROWS)[0])


def test_weights_of_branches_and_loops(
    model_of: Any, value_info: Any, tensor_proto: Any, loaded: Any
) -> None:
    """Steps that are left out, and taken again."""
    rng = np.random.default_rng(1)

    def product(name: str, takes: str) -> tuple[Any, list[Any]]:
        matrix = rng.standard_normal((WIDTH, WIDTH), np.float32) / 20
        constant = helper.make_node("Constant", [], [f"{name}w"])
        constant.attribute.append(
            helper.make_attribute("value", tensor_proto(f"{name}w", matrix))
        )
        made = helper.make_node("MatMul", [takes, f"{name}w"], [name], name)
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, None), [
            constant,
            made,
        ]

    graphs = {}
    for name in ("yes", "no"):
        info, nodes = product(name, "x")
        graphs[name] = helper.make_graph(nodes, name, [], [info])
    branch = helper.make_node(
        "If", ["c"], ["y"], then_branch=graphs["yes"], else_branch=graphs["no"]
    )
    info, nodes = product("after", "held")
    go = helper.make_node("Identity", ["go"], ["on"])
    body = helper.make_graph(
        [go, *nodes],
        "body",
        [
            value_info("i", [], "INT64"),
            value_info("go", [], "BOOL"),
            value_info("held", [2, WIDTH]),
        ],
        [value_info("on", [], "BOOL"), info],
    )
    loop = helper.make_node("Loop", ["three", "", "y"], ["z"], body=body)
    source = model_of(
        [branch, loop],
        [value_info("c", [], "BOOL"), value_info("x", [2, WIDTH])],
        [value_info("z", [2, WIDTH])],
        [tensor_proto("three", np.array(3))],
    )
    whole, window = loaded(source, None), loaded(source, 2 * LAYER)
    x = rng.standard_normal((2, WIDTH), np.float32)
    for condition in (True, False, False, True):
        given = {"c": np.array(condition), "x": x}
        held = watched(window)
        np.testing.assert_array_equal(window.run(**given)[0], whole.run(**given)[0])
        assert max(held) <= 2 * LAYER + FAULT
    assert window.STREAM


# --- what is refused ---


def test_an_op_that_reads_more_than_the_limit_is_named(tower: Any) -> None:
    with pytest.raises(LoweringError, match=r"m0.*found 1048576 bytes of weights") as e:
        compile_model(tower, "numpy", memory_limit=MB)
    assert "wanted at most 1000000, the memory limit" in str(e.value)


def test_jax_has_no_limit(tower: Any) -> None:
    with pytest.raises(LoweringError, match="memory limit: found backend 'jax'"):
        compile_model(tower, "jax", memory_limit=4 * MB)


def test_the_command(sardonyx: Any, mlp: Path, tmp_path: Path) -> None:
    done = sardonyx(
        "compile", mlp, "-b", "numpy", "--memory-limit", "1.5KiB", "-o", tmp_path / "a"
    )
    assert done.code == 0
    assert "LIMIT = 1536 " in (tmp_path / "a" / "model.py").read_text()
    for wrong in ("0", "80XB", "much", "-3"):
        done = sardonyx(
            "compile", mlp, "-b", "numpy", "--memory-limit", wrong, "-o", tmp_path / "b"
        )
        assert done.code == 2
        assert "80MB" in done.err
