"""Descriptions of targets: what they say, and what is refused."""

from pathlib import Path

import pytest
from sardonyx.passes.analysis.targets import (
    Engine,
    TargetError,
    read_target,
    shipped_targets,
)


@pytest.mark.parametrize("name", shipped_targets())
def test_shipped_targets_are_whole(name: str) -> None:
    target = read_target(name)
    assert target.name == name
    assert target.description
    for engine in target.engines:
        assert engine.seconds(1e9, 0) > engine.seconds(1e6, 0)
        assert engine.seconds(0, 1e9) > engine.seconds(0, 1e6)


def test_engines_and_links() -> None:
    assert "host-cpu" in shipped_targets()
    target = read_target("two-engines")
    assert [engine.name for engine in target.engines] == ["left", "right"]
    link = target.link("right", "left")
    assert link is not None
    assert link.seconds(2.5e10) == pytest.approx(1 + link.latency_seconds)
    assert target.link("left", "left") is None


def test_the_roofline() -> None:
    engine = Engine("e", {"float32": 100.0, "int8": 400.0}, 10.0, 1.0, 0.5)
    assert engine.seconds(200, 10) == 2.5
    assert engine.seconds(200, 40) == 4.5
    assert engine.seconds(400, 0, "int8") == 1.5
    # One that it does not name goes at float32's rate.
    assert engine.seconds(400, 0, "float16") == 4.5


GOOD = """
[[engines]]
name = "a"
memory_bytes = 1e9
bandwidth = 1e9
[engines.flops]
float32 = 1e9
"""


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    target = read_target(path)
    assert (target.name, target.engines[0].launch_seconds) == ("mine", 0.0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[engines", "not TOML"),
        ("", "found engines \\[\\]"),
        ("engines = 3", "wanted tables, \\[\\[engines\\]\\]"),
        (GOOD + GOOD, "all named"),
        (GOOD.replace("float32", "int8"), "float32 at least"),
        (GOOD.replace("bandwidth = 1e9", ""), "bandwidth: found None"),
        (GOOD.replace("bandwidth = 1e9", "bandwidth = 0"), "bandwidth: found 0"),
        (GOOD.replace("bandwidth = 1e9", "bandwidth = true"), "bandwidth: found True"),
        (GOOD.replace("float32 = 1e9", "float32 = inf"), "float32: found inf"),
        (GOOD.replace("float32 = 1e9", "float32 = -1"), "float32: found -1"),
        (GOOD.replace('name = "a"', "name = 3"), "name: found 3, wanted a string"),
        (GOOD.replace("memory_bytes", "memory"), "found 'memory', wanted name"),
        (GOOD + '[[links]]\nbetween = ["a"]', "wanted the names of two engines"),
        (GOOD + '[[links]]\nbetween = ["a", "b"]', "wanted two of a"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(TargetError, match=said) as raised:
        read_target(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"wanted host-cpu, two-engines, or a \.toml"):
        read_target("tpu")
    with pytest.raises(TargetError, match="cannot be read"):
        read_target(tmp_path / "none.toml")
