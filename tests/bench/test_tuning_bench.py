"""The script that writes docs/tuning.md: what it says of what was found."""

import argparse
import sys
from pathlib import Path

import pytest
from sardonyx.compiler.cost.tune import Trial, Tuned

sys.path.insert(0, str(Path(__file__).parent))
import tuning


def found(chosen: int, *ratios: float | None, again: float | None = None) -> Tuned:
    """The first after -O2's was measured once more, if `again` says what that gave."""
    trials = [
        Trial(
            f"way {place}",
            "spec",
            1e-3,
            "",
            None if ratio is None else 2e-3 * ratio,
            None if ratio is None else (ratio, 0.9 * ratio, 1.1 * ratio),
            "" if ratio is not None else "it ended",
            (again, again, again) if again is not None and place == 1 else None,
        )
        for place, ratio in enumerate(ratios)
    ]
    return Tuned("spec", chosen, tuple(trials), 40, 59.6)


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (found(1, 1.0, 0.9, 0.95, again=0.92), "Met: `tune` gains 8.0%."),
        (
            found(0, 1.0, 0.9, None, again=0.985),
            "Met: -O2 is within 1.5% of the best measured.",
        ),
        (found(0, 1.0, 1.2), "Met: -O2 is within 0.0% of the best measured."),
        (
            found(0, 1.0, 0.99, again=0.95),
            "Not met: `tune` gains 0.0%, the best measured 5.0%.",
        ),
    ],
)
def test_what_is_met_is_said(one: Tuned, said: str) -> None:
    assert tuning.verdict(one) == said


def test_a_page_keeps_the_sections_that_are_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, measured = tmp_path / "page.md", list[str]()

    def tune(path: Path, backend: str, *_: object, **__: object) -> Tuned:
        measured.append(f"{path.stem} on {backend}")
        return found(0, 1.0, 1.0 + len(measured))

    for name in ("resnet50", "minilm_l6"):
        (tmp_path / f"{name}.onnx").touch()
    monkeypatch.setattr(tuning, "tune", tune)
    options = argparse.Namespace(budget=1.0, output=page, only="")
    tuning.run(options, tmp_path)
    before = page.read_text()
    assert len(measured) == 6
    options.only = "seq=128 on jax"
    tuning.run(options, tmp_path)
    assert measured[6:] == ["minilm_l6 on jax"]
    first, second = before.splitlines(), page.read_text().splitlines()
    differing = [a for a, b in zip(first, second, strict=True) if a != b]
    assert len(differing) == 1
    assert "6.000" in differing[0]
    monkeypatch.setattr(tuning, "measured_on", lambda: "Measured elsewhere.")
    with pytest.raises(SystemExit, match="found no page of this machine"):
        tuning.run(options, tmp_path)


def test_a_section_has_a_row_for_each_that_was_measured() -> None:
    one = found(1, 1.0, 0.9, None, again=0.95)
    lines = list(tuning.lines_of("resnet50 on jax", one))
    assert lines[1] == "## resnet50 on jax"
    assert lines[3].endswith("40 programs were predicted; 60 s in all.")
    assert lines[-3] == "| way 0 | 1 | 2 | 1.000 (0.90 - 1.10) |  |  |"
    ratios = "0.900 (0.81 - 0.99) | 0.950 (0.95 - 0.95)"
    assert lines[-2] == f"| way 1 | 1 | 1.8 | {ratios} | chosen |"
    assert lines[-1] == "| way 2 | 1 |  |  |  | it ended |"
