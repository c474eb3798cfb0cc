"""ONNX's multi-device annotations: read as shardings, written back, refused."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sardonyx.compiler.driver import compile_model
from sardonyx.compiler.exporter import ExportError, to_proto
from sardonyx.compiler.importer import ModelError, import_model
from sardonyx.compiler.importer.devices import digits_in
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.text import read_text, write_text
from sardonyx.dialects.sdy import Sharding, annotate, sharding_of
from sardonyx.passes.sharding.layouts import mesh_in


def spec(
    tensor: str,
    shards: dict[int, int],
    device: list[int],
    groups: dict[int, list[int]] | None = None,
) -> Any:
    """A ShardingSpecProto: axes and in how many shards each is."""
    made = onnx.ShardingSpecProto(tensor_name=tensor, device=device)
    for axis, count in shards.items():
        made.sharded_dim.add(axis=axis).simple_sharding.add(num_shards=count)
    for key, value in (groups or {}).items():
        made.index_to_device_group_map.add(key=key, value=value)
    return made


def mlp(*first: Any, second: Any = (), devices: int = 4) -> Any:
    """``relu(x @ w) @ v`` on [8, 16], [16, 32], [32, 4], with specs of its products."""
    rng = np.random.default_rng(0)
    shapes = {"w": (16, 32), "v": (32, 4)}
    weights = [
        onnx.numpy_helper.from_array(rng.standard_normal(s, np.float32), n)
        for n, s in shapes.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], "up"),
        helper.make_node("Relu", ["h"], ["r"], "bend"),
        helper.make_node("MatMul", ["r", "v"], ["y"], "down"),
    ]
    for node, specs in ((nodes[0], first), (nodes[2], second)):
        if specs:
            entry = node.device_configurations.add(configuration_id="pair")
            entry.sharding_spec.extend(specs)
    graph = helper.make_graph(
        nodes,
        "mlp",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [8, 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [8, 4])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 11
    model.configuration.add(
        name="pair", num_devices=devices, device=[f"gpu:{n}" for n in range(devices)]
    )
    return model


WHOLE = {-1: [0, 1, 2, 3]}
HALVES = {-1: [0, 1], -2: [2, 3]}
MEGATRON = (
    [
        spec("x", {0: 2}, [-1, -2], HALVES),
        spec("w", {1: 2}, [-1, -2], {-1: [0, 2], -2: [1, 3]}),
        spec("h", {0: 2, 1: 2}, [0, 1, 2, 3]),
    ],
    [
        spec("v", {0: 2}, [-1, -2], {-1: [0, 2], -2: [1, 3]}),
        spec("y", {0: 2}, [-1, -2], HALVES),
    ],
)


def meaning(model: Any) -> dict[tuple[str, str], list[tuple[int, ...]]]:
    """
    For each node and tensor which shard of each axis every device has.

    Read from the protos as the proposal's loops are: the last axis runs fastest.
    """
    found: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    for node in model.graph.node:
        for entry in node.device_configurations:
            for one in entry.sharding_spec:
                groups = {g.key: list(g.value) for g in one.index_to_device_group_map}
                counts = {
                    d.axis: int(np.prod([s.num_shards for s in d.simple_sharding]))
                    for d in one.sharded_dim
                }
                has: dict[int, tuple[int, ...]] = {}
                shards = itertools.product(*(range(n) for n in counts.values()))
                for index, shard in zip(one.device, shards, strict=True):
                    for device in groups.get(index, [index]):
                        has[device] = tuple(
                            dict(zip(counts, shard, strict=True)).get(axis, 0)
                            for axis in range(2)
                        )
                found[node.name, one.tensor_name] = [has[d] for d in sorted(has)]
    return found


def sharded_values(model: Model) -> Iterator[tuple[str, Any]]:
    for value in (
        *model.main.body.block.args,
        *(r for op in model.main.body.block.ops for r in op.results),
    ):
        held = sharding_of(value)
        if held is not None:
            yield str(value.name_hint), held.axes


def test_a_grid_is_found_and_every_tensor_lies_on_it() -> None:
    model = import_model(mlp(*MEGATRON[0], second=MEGATRON[1]))
    held = mesh_in(model.module)
    assert held is not None
    assert held[0] == "pair"
    assert held[1].axes == (("x0", 2), ("x1", 2))
    assert dict(sharded_values(model)) == {
        "x": (("x0",), ()),
        "w": ((), ("x1",)),
        "v": (("x1",), ()),
        "h": (("x0",), ("x1",)),
        "y": (("x0",), ()),
    }


def test_what_is_read_is_written_back(tmp_path: Any) -> None:
    given = mlp(*MEGATRON[0], second=MEGATRON[1])
    model = import_model(given)
    write_text(model, tmp_path / "model.mlir")
    for again in (to_proto(model), to_proto(read_text(tmp_path / "model.mlir"))):
        onnx.checker.check_model(again, full_check=True)
        assert again.ir_version >= 11
        assert list(again.configuration) == list(given.configuration)
        found, wanted = meaning(again), meaning(given)
        assert {key: found[key] for key in wanted} == wanted
        # Once more: what is written in full is read and written as it is.
        third = to_proto(import_model(again))
        assert list(third.graph.node) == list(again.graph.node)
        assert list(third.metadata_props) == list(again.metadata_props)


def test_stages_names_and_other_configurations_are_kept() -> None:
    given = mlp(*MEGATRON[0])
    given.configuration.add(name="other \u00e9\n", num_devices=3)
    for stage, node in enumerate(given.graph.node[1:], start=5):
        node.device_configurations.add(configuration_id="pair", pipeline_stage=stage)
    again = to_proto(import_model(given))
    assert list(again.configuration) == list(given.configuration)
    stages = [
        entry.pipeline_stage
        for node in again.graph.node
        for entry in node.device_configurations
        if entry.HasField("pipeline_stage")
    ]
    assert stages == [5, 6]


def test_a_tensor_that_is_wanted_otherwise_is_so_again() -> None:
    given = mlp(*MEGATRON[0], second=[spec("r", {1: 4}, [0, 1, 2, 3])])
    given.graph.node[1].device_configurations.add(
        configuration_id="pair"
    ).sharding_spec.extend([spec("r", {0: 4}, [0, 1, 2, 3])])
    found = meaning(to_proto(import_model(given)))
    wanted = meaning(given)
    assert {key: found[key] for key in wanted} == wanted
    assert found["bend", "r"] != found["down", "r"]


def test_wholly_divided_blocks_make_one_dimension() -> None:
    given = mlp(spec("w", {1: 2}, [0, 1, 2, 3]))
    (dim,) = given.graph.node[0].device_configurations[0].sharding_spec[0].sharded_dim
    dim.simple_sharding[0].dim_value = 2
    dim.simple_sharding.add(dim_value=16, num_shards=2)
    assert dict(sharded_values(import_model(given)))["w"] == ((), ("x0",))
    (shards,) = meaning(to_proto(import_model(given))).values()
    assert shards == [(0, 0), (0, 1), (0, 2), (0, 3)]


def test_a_plan_of_ours_leaves_as_onnx_and_comes_back() -> None:
    given = mlp()
    del given.configuration[:]
    model = import_model(given)
    plan = "shard-data{size=2},shard-tensor{size=4},propagate-shardings"
    run_pipeline(model, plan)
    before = dict(sharded_values(model))
    assert any(("model",) in axes for axes in before.values())
    again = import_model(to_proto(model))
    held = mesh_in(again.module)
    assert held is not None
    assert held[1].axes == (("data", 2), ("model", 4))
    after = dict(sharded_values(again))
    assert after == before


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_annotations_change_no_result(backend: str) -> None:
    given, plain = mlp(*MEGATRON[0], second=MEGATRON[1]), mlp()
    x = np.random.default_rng(1).standard_normal((8, 16), np.float32)
    found, wanted = (compile_model(m, backend)(x)[0] for m in (given, plain))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(wanted))


def test_a_file_s_shardings_run_on_each_device() -> None:
    given = mlp(*MEGATRON[0], second=MEGATRON[1])
    x = np.random.default_rng(1).standard_normal((8, 16), np.float32)
    divided = compile_model(given, "numpy", "propagate-shardings,partition,dce")
    assert "sdy.all_reduce" in divided.model.text()
    np.testing.assert_allclose(
        divided(x)[0], compile_model(given, "numpy")(x)[0], rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize(
    ("parts", "digits"),
    [
        ([0, 0, 0, 0], ()),
        ([0, 1, 2, 3], ((1, 4),)),
        ([0, 0, 1, 1], ((2, 2),)),
        ([0, 1, 0, 1], ((1, 2),)),
        ([0, 2, 1, 3], ((1, 2), (2, 2))),
        ([0, 0, 1, 1, 2, 2], ((2, 3),)),
        ([1, 0], None),
        ([0, 1, 1, 0], None),
        ([0, 1, 3, 2], None),
    ],
)
def test_digits(parts: list[int], digits: Any) -> None:
    count = max(parts) + 1
    assert digits_in(parts, count) == digits
    if digits is not None:
        for device, part in enumerate(parts):
            value = 0
            for stride, size in digits:
                value = value * size + device // stride % size
            assert value == part


# --- what is refused ---


def entry_of(model: Any) -> Any:
    return model.graph.node[0].device_configurations[0]


def first(model: Any) -> Any:
    return entry_of(model).sharding_spec[0]


def dim_of(model: Any) -> Any:
    return first(model).sharded_dim[0]


def make_uneven(model: Any) -> None:
    dim_of(model).simple_sharding[0].num_shards = 3
    first(model).device.append(3)


def make_blocks(model: Any) -> None:
    dim_of(model).simple_sharding.insert(0, dim_of(model).simple_sharding[0])
    dim_of(model).simple_sharding[0].dim_value = 4


def make_both(model: Any) -> None:
    model.configuration.add(name="four", num_devices=4)
    model.graph.node[1].device_configurations.add(configuration_id="four")


MALFORMED: dict[str, tuple[Callable[[Any], object], str]] = {
    "twice": (
        lambda m: m.configuration.add(name="pair", num_devices=2),
        "configuration 'pair': wanted a name, each once",
    ),
    "none": (
        lambda m: setattr(m.configuration[0], "num_devices", 0),
        "found 0 devices, wanted 1 to 4096",
    ),
    "names": (
        lambda m: m.configuration[0].device.pop(),
        "found 3 names of 4 devices",
    ),
    "unknown": (
        lambda m: setattr(entry_of(m), "configuration_id", "trio"),
        "'up'.*found device configuration 'trio', wanted one of .'pair'",
    ),
    "tensor": (
        lambda m: setattr(first(m), "tensor_name", "y"),
        "sharding of 'y': wanted a tensor of the node",
    ),
    "axis": (
        lambda m: setattr(dim_of(m), "axis", 2),
        "sharding of 'x': found axis 2 of 2",
    ),
    "shards": (
        lambda m: setattr(dim_of(m).simple_sharding[0], "num_shards", 0),
        "axis 0: found .0. shards",
    ),
    "size": (
        lambda m: setattr(dim_of(m).simple_sharding[0], "dim_value", 9),
        "found sizes .9. of a dimension of 8",
    ),
    "uneven": (make_uneven, "axis 0: found size 8, wanted a multiple of 3"),
    "count": (lambda m: first(m).device.pop(), "found devices for 1 shards of 2"),
    "range": (
        lambda m: first(m).index_to_device_group_map[0].value.insert(0, 9),
        "found devices .9, 0, 1, 2, 3., wanted 0 to 3",
    ),
    "missing": (
        lambda m: first(m).index_to_device_group_map[0].value.pop(),
        "found devices .0, 2, 3., wanted all 4, each once",
    ),
    "order": (
        lambda m: entry_of(m).sharding_spec[2].device.reverse(),
        "in an order that is no grid's",
    ),
    "blocks": (make_blocks, "found 2 shards of 4 in front of others"),
    "axes": (
        lambda m: setattr(entry_of(m).sharding_spec[2].sharded_dim[1], "axis", 0),
        "sharding of 'h': found axis 0 of 2, each wanted once",
    ),
    "both": (make_both, "'bend'.*configurations 'pair' and 'four', wanted those of"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_is_refused(name: str) -> None:
    given = mlp(*MEGATRON[0])
    import_model(given)
    breaks, words = MALFORMED[name]
    breaks(given)
    with pytest.raises(ModelError, match=words):
        import_model(given)


def test_no_grid_has_all_shards() -> None:
    given = mlp(
        spec("x", {0: 2}, [-1, -2], {-1: [0, 1, 2], -2: [3, 4, 5]}),
        spec("h", {0: 2}, [-1, -2], {-1: [0, 1, 4], -2: [2, 3, 5]}),
        devices=6,
    )
    with pytest.raises(ModelError, match=r"'h'.*no grid's"):
        import_model(given)
    given = mlp(
        spec("w", {1: 2}, [-1, -2], {-1: [0, 2, 4], -2: [1, 3, 5]}),
        spec("h", {0: 2}, [-1, -2], {-1: [0, 1, 2], -2: [3, 4, 5]}),
        devices=6,
    )
    with pytest.raises(ModelError, match="wanted them along the axes of one grid"):
        import_model(given)


@pytest.mark.parametrize(
    ("sharding", "words"),
    [
        (Sharding("pair", Sharding.of("pair", [(), ()]).dims, (), ("x0",)), "sums"),
        (Sharding.of("other", [("x0",), ()]), "found mesh @other, wanted @pair"),
    ],
)
def test_what_onnx_cannot_say(sharding: Sharding, words: str) -> None:
    model = import_model(mlp(*MEGATRON[0]))
    annotate(model.main.body.block.args[0], sharding)
    with pytest.raises(ExportError, match=words):
        to_proto(model)
