"""
The result types of ai.onnx.ml's operators, by rules of ours alone.

onnx infers some of them, but takes a classifier's scores for as many as it has
intercepts, and cannot see an attribute that is a stored tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from onnx.defs import OpSchema
from xdsl.dialects.builtin import f32, i64
from xdsl.ir import Attribute

from .dims import Dim, product
from .facts import Facts, InferenceError
from .types import (
    DenseAttr,
    MapType,
    SequenceType,
    Shape,
    StringType,
    WeightAttr,
    element_of,
    tensor,
)

_STRING = StringType()


def ml_types(
    schema: OpSchema, facts: Facts, outputs: Sequence[bool]
) -> list[Attribute | None]:
    """
    The types of the results of an ai.onnx.ml operator, None where `outputs` says so.

    Raises InferenceError for operands or attributes that do not fit the operator.
    """
    types = _RULES[schema.name](facts)
    return [
        kind if wanted else None for kind, wanted in zip(types, outputs, strict=True)
    ]


def _element(facts: Facts) -> Attribute:
    element = element_of(facts.operands[0].type)
    if element is None:
        raise InferenceError(f"found {facts.operands[0].type}, wanted a tensor")
    return element


def _rows(facts: Facts) -> Dim | None:
    """The number of samples of the first operand; a vector is one."""
    _element(facts)
    shape = facts.shape(0)
    if shape is None:
        return None
    if len(shape) not in (1, 2):
        raise InferenceError(f"found an input of rank {len(shape)}, wanted 2")
    return shape[0] if len(shape) == 2 else Dim.of(1)


# --- classifiers and regressors ---


def _labels(facts: Facts, integers: str, strings: str = "classlabels_strings") -> int:
    count, texts = len(facts.attribute(integers, ())), facts.attribute(strings, ())
    if bool(count) == bool(texts):
        raise InferenceError(f"wanted {integers} or {strings}, one of them")
    return count or len(texts)


def _classifier(facts: Facts, scores: int) -> list[Attribute]:
    rows = _rows(facts)
    texts = facts.attribute("classlabels_strings", ())
    return [tensor(_STRING if texts else i64, [rows]), tensor(f32, [rows, scores])]


def _tree_classifier(facts: Facts) -> list[Attribute]:
    count = _labels(facts, "classlabels_int64s")
    return _classifier(facts, count)


def _linear_classifier(facts: Facts) -> list[Attribute]:
    count = _labels(facts, "classlabels_ints")
    return _classifier(facts, count)


def _svm_classifier(facts: Facts) -> list[Attribute]:
    count = _labels(facts, "classlabels_ints")
    scores = count
    pairwise = sum(facts.attribute("vectors_per_class", ())) > 0
    if pairwise and not facts.attribute("prob_a", ()) and count != 2:
        scores = count * (count - 1) // 2
    return _classifier(facts, scores)


def _tree_regressor(facts: Facts) -> list[Attribute]:
    targets = _targets(facts, "target_ids")
    return [tensor(f32, [_rows(facts), targets])]


def _targets(facts: Facts, ids: str) -> int:
    count = facts.attribute("n_targets")
    return max(facts.attribute(ids, (0,)), default=0) + 1 if count is None else count


def _tree_ensemble(facts: Facts) -> list[Attribute]:
    targets = _targets(facts, "leaf_targetids")
    return [tensor(_element(facts), [_rows(facts), targets])]


def _linear_regressor(facts: Facts) -> list[Attribute]:
    return [tensor(f32, [_rows(facts), facts.attribute("targets", 1)])]


def _svm_regressor(facts: Facts) -> list[Attribute]:
    return [tensor(f32, [_rows(facts), 1])]


# --- features ---


def _same(facts: Facts) -> list[Attribute]:
    return [tensor(_element(facts), facts.shape(0))]


def _same_in_floats(facts: Facts) -> list[Attribute]:
    _element(facts)
    return [tensor(f32, facts.shape(0))]


def _feature_vectorizer(facts: Facts) -> list[Attribute]:
    sizes = facts.attribute("inputdimensions")
    if sizes is not None:
        return [tensor(f32, [_rows(facts), sum(sizes)])]
    widths = [facts.shape(i) for i in range(len(facts.operands))]
    known = [shape[-1] for shape in widths if shape]
    total = [dim for dim in known if dim is not None]
    whole = sum(total, Dim(())) if len(total) == len(widths) else None
    return [tensor(f32, [_rows(facts), whole])]


def _array_feature_extractor(facts: Facts) -> list[Attribute]:
    element, data, places = _element(facts), facts.shape(0), facts.shape(1)
    if data is None:
        return [tensor(element, None)]
    known = [dim for dim in places or () if dim is not None]
    count = product(known) if places is not None and len(known) == len(places) else None
    before: Shape = data[:-1] if len(data) > 1 else (Dim.of(1),)
    return [tensor(element, [*before, count])]


# --- categories and maps ---


def _one_hot_encoder(facts: Facts) -> list[Attribute]:
    count = _labels(facts, "cats_int64s", "cats_strings")
    _element(facts)
    shape = facts.shape(0)
    return [tensor(f32, None if shape is None else [*shape, count])]


def _category_mapper(facts: Facts) -> list[Attribute]:
    is_text = _element(facts) == _STRING
    return [tensor(i64 if is_text else _STRING, facts.shape(0))]


def _label_encoder(facts: Facts) -> list[Attribute]:
    lists = {"values_strings": _STRING, "values_int64s": i64, "values_floats": f32}
    given: list[Attribute] = [k for n, k in lists.items() if n in facts.properties]
    held = facts.properties.get("values_tensor")
    if isinstance(held, DenseAttr):
        given.append(held.type.element_type)
    elif isinstance(held, WeightAttr):
        store = facts.integers.store
        if store is None or held.data not in store:
            raise InferenceError(f"values_tensor is {held}, which is not stored")
        given.append(store[held.data].type.element_type)
    if len(given) != 1:
        raise InferenceError(f"found {len(given)} lists of values, wanted one")
    _element(facts)
    return [tensor(given[0], facts.shape(0))]


def _map(facts: Facts) -> MapType:
    kind = facts.operands[0].type
    if not isinstance(kind, MapType):
        raise InferenceError(f"found {kind}, wanted a map")
    return kind


def _dict_vectorizer(facts: Facts) -> list[Attribute]:
    count = _labels(facts, "int64_vocabulary", "string_vocabulary")
    value = element_of(_map(facts).value)
    if value is None:
        raise InferenceError(f"found {_map(facts)}, wanted a map to scalars")
    return [tensor(value, [1, count])]


def _cast_map(facts: Facts) -> list[Attribute]:
    _map(facts)
    elements: dict[str, Attribute] = {
        "TO_FLOAT": f32,
        "TO_STRING": _STRING,
        "TO_INT64": i64,
    }
    wanted = facts.attribute("cast_to", "TO_FLOAT")
    if wanted not in elements:
        raise InferenceError(f"cast_to is {wanted!r}, wanted one of {sorted(elements)}")
    sparse = facts.attribute("map_form", "DENSE") == "SPARSE"
    count = facts.attribute("max_map", 1) if sparse else None
    return [tensor(elements[wanted], [1, count])]


def _zip_map(facts: Facts) -> list[Attribute]:
    _labels(facts, "classlabels_int64s")
    _rows(facts)
    key = _STRING if facts.attribute("classlabels_strings", ()) else i64
    return [SequenceType(MapType(key, tensor(f32, [])))]


_RULES: dict[str, Callable[[Facts], list[Attribute]]] = {
    "ArrayFeatureExtractor": _array_feature_extractor,
    "Binarizer": _same,
    "CastMap": _cast_map,
    "CategoryMapper": _category_mapper,
    "DictVectorizer": _dict_vectorizer,
    "FeatureVectorizer": _feature_vectorizer,
    "Imputer": _same,
    "LabelEncoder": _label_encoder,
    "LinearClassifier": _linear_classifier,
    "LinearRegressor": _linear_regressor,
    "Normalizer": _same_in_floats,
    "OneHotEncoder": _one_hot_encoder,
    "SVMClassifier": _svm_classifier,
    "SVMRegressor": _svm_regressor,
    "Scaler": _same_in_floats,
    "TreeEnsemble": _tree_ensemble,
    "TreeEnsembleClassifier": _tree_classifier,
    "TreeEnsembleRegressor": _tree_regressor,
    "ZipMap": _zip_map,
}
