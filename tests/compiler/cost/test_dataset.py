"""Measurements as lines: what is written, what is read, and what is not done twice."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from onnx import parser
from sardonyx.compiler import import_model
from sardonyx.compiler.bench.machine import describe_machine
from sardonyx.compiler.cost import dataset
from sardonyx.compiler.cost.dataset import (
    ROUNDS,
    Machine,
    collect,
    measured,
    subjects_of,
    this_machine,
)
from sardonyx.compiler.cost.measurements import (
    DatasetError,
    append,
    measurement_from_json,
    read_measurements,
)
from sardonyx.compiler.cost.reference import Reference
from sardonyx.passes.analysis.targets import Rates

RATES = {
    "numpy": Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6),
    "jax": Rates(1e11, 1e10, 4e10, 1e6, 1e9, 1e-6, 2e-6, True),
}
HERE = Machine("here", RATES, 1e-4)
NET = """<ir_version: 10, opset_import: ["": 21]>
g (float[64,64] x) => (float[64,64] y)
{
  a = MatMul(x, x)
  b = MatMul(a, x)
  s = Sigmoid(b)
  y = Mul(b, s)
}"""


@pytest.fixture(name="subjects")
def subjects_fixture():
    model = import_model(parser.parse_model(NET))
    return list(subjects_of(model, "net", "nets", "numpy", 4))


def test_programs_are_measured_op_by_op(subjects) -> None:
    assert len(subjects) >= 2
    assert len({one.key for one in subjects}) == len(subjects)
    found = measured([subjects], HERE, 0.02)
    for one, subject in zip(found, subjects, strict=True):
        assert one.key == subject.key
        assert one.pipeline == subject.executable.pipeline
        assert 0 < sum(one.op_seconds) < 3 * one.seconds
        assert len(one.ops) == len(one.op_seconds)
        assert len(one.rounds) == ROUNDS
        assert min(one.rounds) <= one.seconds <= max(one.rounds)
    products = [op for op in found[0].ops if op.op == "MatMul"]
    assert sum(op.flops for op in products) >= 2 * 2 * 64**3


def test_programs_of_a_larger_space_at_random(subjects) -> None:
    model = import_model(parser.parse_model(NET))

    def keys(most: int, sampled: bool) -> list[str]:
        found = subjects_of(model, "net", "nets", "numpy", most, sampled=sampled)
        return [one.key for one in found]

    first, *others = keys(3, sampled=True)
    assert first == subjects[0].key
    assert len({first, *others}) == 3
    assert [first, *others] == keys(3, sampled=True)
    # In a row, the passes that come last would never be left out.
    assert not {*others} <= {*keys(3, sampled=False)}


def test_jax_is_measured_too() -> None:
    model = import_model(parser.parse_model(NET))
    (first, *_) = subjects_of(model, "net", "nets", "jax", 1)
    (found,) = measured([[first]], HERE, 0.02)
    assert found.backend == "jax"
    assert found.seconds > 0
    # Its profiler tells no op's time where kernels run beside each other.
    assert set(found.op_seconds) == {None}


def test_seconds_are_those_of_a_machine_as_fast_as_when_it_was_calibrated(
    subjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reference, "seconds", lambda self: 1e-4)
    (plain,) = measured([subjects[:1]], HERE, 0.05)
    # The reference takes a hundred times as long: so does all else, at the moment.
    monkeypatch.setattr(Reference, "seconds", lambda self: 1e-2)
    (slow,) = measured([subjects[:1]], HERE, 0.05)
    assert slow.seconds < 0.1 * plain.seconds
    assert slow.reference == HERE.reference


def test_the_reference_takes_time() -> None:
    found = Reference()
    assert 1e-6 < found.seconds() < 1


def test_what_is_added_is_measured_by_the_rates_that_are_there(
    subjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "calibrate", lambda *_, **__: pytest.fail("anew"))
    (one,) = measured([subjects[:1]], HERE, 0.02)
    name = described()
    here = replace(one, machine=name)
    assert this_machine(["numpy"], [here]) == Machine(
        name, {"numpy": RATES["numpy"]}, HERE.reference
    )
    for known in ([one], [replace(here, reference=0.0)]):
        with pytest.raises(pytest.fail.Exception, match="anew"):
            this_machine(["numpy"], known)
    with pytest.raises(pytest.fail.Exception, match="anew"):
        this_machine(["numpy", "jax"], [here])


def described() -> str:
    machine = describe_machine()
    return f"{machine.processor}, {machine.cores} cores"


def test_a_line_and_back(subjects) -> None:
    for one in measured([subjects[:1]], HERE, 0.02):
        again = measurement_from_json(json.loads(json.dumps(one.as_json())))
        assert again.ops == one.ops
        assert again.rates == one.rates
        assert again.seconds == pytest.approx(one.seconds, rel=1e-3)
        assert again.rounds == pytest.approx(one.rounds, rel=1e-3)
        # A line of before there were rounds.
        older = one.as_json()
        del older["rounds"], older["reference"]
        assert measurement_from_json(older).rounds == ()
        assert measurement_from_json(older).reference == 0
        # Equal ops stand once, with their mean.
        assert sum(again.op_seconds) == pytest.approx(sum(one.op_seconds), rel=1e-2)


def test_collecting_goes_on_where_it_stopped(subjects, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    first = list(collect(path, [subjects[:1]], HERE, 0.02))
    with path.open("a") as stream:
        stream.write('{"format": "sardonyx-measurement-2", "cut sh')
    assert [one.key for one in read_measurements(path)] == [first[0].key]
    more = list(collect(path, [subjects], HERE, 0.02))
    assert [one.key for one in more] == [one.key for one in subjects[1:]]
    assert [one.key for one in read_measurements(path)] == [o.key for o in subjects]
    assert not list(collect(path, [subjects], HERE, 0.02))


def test_models_are_measured_beside_each_other(
    subjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def noted(groups, *given, **options):
        seen.append([len(group) for group in groups])
        return []

    monkeypatch.setattr(dataset, "measured", noted)
    monkeypatch.setattr(dataset, "BESIDE", 2)
    one, two = subjects[:1], subjects[1:2]
    groups = [one, two, one]
    assert list(collect(tmp_path / "data.jsonl", groups, HERE, 0.02)) == []
    # What was measured before its turn came is not again.
    assert seen == [[1, 1], [0]]


def test_compressed_files_are_read(subjects, tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    for one in measured([subjects[:1]], HERE, 0.02):
        append(path, one)
    packed = tmp_path / "data.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_measurements(packed) == read_measurements(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{}\n", "found no measurement"),
        (b"no json\n", "found no measurement"),
        (b'{"format": "other"}\n', "found format 'other'"),
        (b"[1]\n", "found no measurement"),
    ],
)
def test_damage_is_told_with_its_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "data.jsonl"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"data\.jsonl:1: .*{said}"):
        read_measurements(path)
    packed = tmp_path / "data.jsonl.gz"
    packed.write_bytes(gzip.compress(content)[:-4])
    with pytest.raises(DatasetError, match=r"data\.jsonl\.gz"):
        read_measurements(packed)
