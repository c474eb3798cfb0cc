"""
What the cost model's measurements are of: real models, and those that are drawn.

In an order that is drawn, too: how fast the machine is changes by the hour, and must
not tell the real ones from the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cost_models
import cost_parts
from sardonyx.compiler.cost.dataset import Subject, subjects_of
from sardonyx.compiler.driver import load, specialize
from sardonyx.compiler.importer import import_model
from sardonyx.compiler.model import Model

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "models"
DRAWN = "drawn-"
"""Families of models that were drawn begin so; they are not asked about."""
FAMILIES = {
    "bert_tiny_dynamic": "bert",
    "bvlc_alexnet": "alexnet",
    "inception_v1": "inception",
    "inception_v2": "inception",
    "minilm_l6": "bert",
    "zfnet512": "alexnet",
}
"""Of models that are of one family; any other is one of its own."""
SIZES: Mapping[str, Sequence[Mapping[str, int]]] = {
    "bert_tiny_dynamic": [{"batch": 1, "seq": 64}],
    "bytelm": [{"batch": 1, "seq": 256}, {"batch": 1, "seq": 32}],
    "magika_v3_3": [{"unk__214": 1}],
    "minilm_l6": [
        {"batch": 1, "seq": 16},
        {"batch": 1, "seq": 128},
        {"batch": 4, "seq": 64},
    ],
}
REAL_MOST = {"numpy": 16, "jax": 8}
DRAWN_MOST = {"numpy": 6, "jax": 3}
"""
Pipelines of a model that are measured: for a real one all of a space that small, for
one that is drawn so many at random of all.
"""
DRAWS = ((cost_models.FAMILIES, 7, 0), (cost_parts.PARTS, 9, 1))
"""Of what is drawn: the families, how many models of each, and the seed."""
MORE = {"encoder": 20, "decoder": 20, "transformers": 30, "digits": 16}
"""
Of these so many: what a pass gains them is a few parts in a hundred, either way, as
their sizes are.
"""


@dataclass(frozen=True)
class Asked:
    """A model that is to be measured."""

    name: str
    family: str
    make: Callable[[], Model]

    @property
    def is_drawn(self) -> bool:
        """Whether it helps to train alone."""
        return self.family.startswith(DRAWN)

    def subjects(self, backend: str) -> Iterator[Subject]:
        """Its programs."""
        most = (DRAWN_MOST if self.is_drawn else REAL_MOST)[backend]
        sampled = self.is_drawn
        yield from subjects_of(
            self.make(), self.name, self.family, backend, most, sampled=sampled
        )


def everything(light: Path) -> list[Asked]:
    """All models, in an order that is the same every time; `light` has make_light's."""
    found = [*_real(light), *_drawn()]
    random.Random(0).shuffle(found)
    return found


def _real(light: Path) -> Iterator[Asked]:
    """The models beside the project, at some sizes."""
    for path in sorted([*light.glob("*.onnx"), *SHARED.glob("*.onnx")]):
        for sizes in SIZES.get(path.stem, [{}]):
            name = " ".join([path.stem, *(f"{k}={v}" for k, v in sizes.items())])
            family = FAMILIES.get(path.stem, path.stem)
            yield Asked(name, family, partial(_sized, path, sizes))


def _sized(path: Path, sizes: Mapping[str, int]) -> Model:
    model = load(path)
    specialize(model, sizes)
    return model


def _drawn() -> Iterator[Asked]:
    for families, count, seed in DRAWS:
        for family in families:
            for place in range(MORE.get(family, count)):
                make = partial(_built, families, family, seed, place)
                name = cost_models.name_of(family, seed, place)
                yield Asked(name, DRAWN + family, make)


def _built(
    families: Mapping[str, cost_models.Family], family: str, seed: int, place: int
) -> Model:
    return import_model(cost_models.drawn(families, family, seed, place))
