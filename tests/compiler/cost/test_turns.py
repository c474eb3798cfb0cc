"""Programs in turns: their order, what counts of their rounds, and their arrays."""

import time

import numpy as np
import pytest
from onnx import helper
from sardonyx.compiler import compile_model
from sardonyx.compiler.cost import turns
from sardonyx.compiler.cost.turns import calls_of, in_turns, moved, settled


def test_a_moved_program_has_memory_of_its_own(
    model_of, value_info, tensor_proto
) -> None:
    generator = np.random.default_rng(0)
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["h"], transB=1),
        helper.make_node("Tanh", ["h"], ["y"]),
    ]
    weights = [
        tensor_proto("w", generator.standard_normal((48, 32), np.float32)),
        tensor_proto("b", generator.standard_normal(48, np.float32)),
    ]
    model = model_of(
        nodes, [value_info("x", [4, 32])], [value_info("y", [4, 48])], weights
    )
    first = compile_model(model, "numpy")
    other = moved(first)
    x = generator.standard_normal((4, 32), np.float32)
    np.testing.assert_array_equal(first(x)[0], other(x)[0])
    assert first.params.keys() == other.params.keys()
    for name, array in first.params.items():
        copied = other.params[name]
        assert not np.shares_memory(array, copied)
        assert copied.strides == array.strides
        assert copied.ctypes.data % 64 == 0


def test_every_round_has_every_program_those_of_a_model_in_a_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns.Reference, "seconds", lambda self: 2e-4)
    called: list[str] = []

    def program(name: str):
        def calls(seconds: float) -> float:
            assert seconds == 0.5
            called.append(name)
            return float(len(called))

        return calls

    found = in_turns([[program("a"), program("b")], [program("c")]], 0.5, 8)
    assert found.reference == 2e-4
    rounds = ["".join(called[n : n + 3]) for n in range(0, 24, 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert not any("acb" in one or "bca" in one for one in rounds)
    assert len(set(rounds)) > 2
    for n, group in enumerate([("a", "b"), ("c",)]):
        for place, name in enumerate(group):
            times = tuple(k + 1.0 for k, one in enumerate(called) if one == name)
            assert found.seconds[n][place] == times


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_call_is_over_when_its_results_are_there(
    model_of, value_info, backend: str
) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "x"], ["a"]),
        helper.make_node("MatMul", ["a", "a"], ["y"]),
    ]
    ends = [[value_info(name, [700, 700])] for name in "xy"]
    program = compile_model(model_of(nodes, *ends), backend)
    arrays = {"x": np.full((700, 700), 1e-3, np.float32)}
    program(**arrays)
    begin = time.perf_counter()
    seconds = calls_of(program, arrays)(0.2)
    assert time.perf_counter() - begin > 0.2
    # 1.4 billion operations: no processor does them in 0.1 ms.
    assert 1e-4 < seconds < 0.5


def test_a_slow_call_is_made_once() -> None:
    class Slow:
        backend = "jax"
        made = 0

        def __call__(self, **arrays: object) -> tuple[()]:
            self.made += 1
            time.sleep(0.02)
            return ()

    slow = Slow()
    assert calls_of(slow, {})(0.001) >= 0.02
    assert slow.made == 2


def test_what_a_round_has_in_common_is_no_program_s() -> None:
    slow = np.array([1, 1, 3, 1, 1, 1, 1.0])
    one, other = settled([2 * slow, 1 * slow])
    assert one / other == pytest.approx(2)
    assert other == pytest.approx(3 ** (1 / 7))
    # A round that disturbed one alone is left out.
    one, other, third = settled([[2, 9, 2, 2, 2, 2], [1] * 6, [4] * 6])
    assert (one, other, third) == pytest.approx((2, 1, 4))
    assert settled([[5.0]]) == pytest.approx([5])
