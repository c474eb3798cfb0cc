"""Kernels of ai.onnx.ml beside ONNX Runtime, official tests, and refusals."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from sardonyx.backends.kernels import categories, features, linear_models, scores, trees
from sardonyx.compiler import compile_model, import_model
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.onnx.types import DTYPE_NAMES, element_of, static_shape

BACKENDS = ["numpy", "jax"]
TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]
SMALL = np.array([[-1, 0.5, 2], [0.1, -2, 0], [3, 0, -0.4]], np.float32)


def model_of(op_type: str, x: Any, ml: int = 3, **attributes: Any) -> onnx.ModelProto:
    """A model of one node on the array `x`."""
    classifies = op_type.endswith("Classifier")
    outputs = ["y", "z"] if classifies else ["y"]
    node = helper.make_node(
        op_type, ["x"], outputs, "it", domain="ai.onnx.ml", **attributes
    )
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [onnx.ValueInfoProto(name=name) for name in outputs],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", ml)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def run(proto: onnx.ModelProto, x: Any, backend: str) -> tuple[Any, ...]:
    """Our outputs, which have the types that the importer infers."""
    found = compile_model(proto, backend=backend)(x)
    for value, array in zip(import_model(proto).results, found, strict=True):
        if not isinstance(array, list):
            dtype = DTYPE_NAMES[element_of(value.type)]
            array = np.asarray(array)
            assert dtype == ("string" if array.dtype == object else array.dtype.name)
            assert static_shape(value.type) in (None, array.shape)
    return found


def check_runtime(proto: onnx.ModelProto, x: Any, backends: list[str]) -> None:
    """Our outputs agree with ONNX Runtime's."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    wanted = session.run(None, {"x": x})
    for backend in backends:
        for a, b in zip(run(proto, x, backend), wanted, strict=True):
            agree(a, b)


def agree(found: Any, wanted: Any) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    if wanted.dtype.kind == "f":
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, 1e-5, 1e-6)
    else:
        assert found.tolist() == wanted.tolist()


def test_official(official_ml: list[Any]):
    """The official node tests; on JAX those without strings."""
    assert len(official_ml) >= 8
    for case in official_ml:
        has_text = any(a.dtype == object for a in case.data_sets[0][0])
        for backend in BACKENDS[: 1 if has_text else 2]:
            net = compile_model(case.model, backend=backend)
            for given, wanted in case.data_sets:
                for a, b in zip(net(*given), wanted, strict=True):
                    np.testing.assert_array_equal(a, b, f"{case.name} on {backend}")


# --- trees ---


class Forest:
    """Random trees, as the attributes of nodes, and their leaves."""

    def __init__(self, seed: int, modes: list[str], missing: bool = False):
        self.rng = np.random.default_rng(seed)
        self.modes = modes
        names = "treeids nodeids featureids modes values truenodeids falsenodeids"
        fields = [*names.split(), "missing_value_tracks_true"]
        self.nodes: dict[str, list[Any]] = {f"nodes_{name}": [] for name in fields}
        self.leaves: list[tuple[int, int]] = []
        self.missing = missing
        for number in range(3):
            self.count = 0
            self.grow(number * 2, 4)

    def grow(self, number: int, depth: int) -> int:
        """Add a subtree of tree `number`; returns the id of its root."""
        place, self.count = self.count, self.count + 1
        row = len(self.nodes["nodes_modes"])
        for values in self.nodes.values():
            values.append(0)
        leaf = depth == 0 or (depth < 4 and self.rng.random() < 0.3)
        entries: dict[str, Any] = {"treeids": number, "nodeids": place, "modes": "LEAF"}
        entries["values"] = 0.0
        if leaf:
            self.leaves.append((number, place))
        else:
            entries |= {
                "modes": str(self.rng.choice(self.modes)),
                "featureids": int(self.rng.integers(3)),
                "values": float(np.round(self.rng.normal(), 1)),
                "truenodeids": self.grow(number, depth - 1),
                "falsenodeids": self.grow(number, depth - 1),
                "missing_value_tracks_true": int(
                    self.missing and self.rng.random() < 1
                ),
            }
        for name, value in entries.items():
            self.nodes[f"nodes_{name}"][row] = value
        return place

    def votes(self, prefix: str, targets: list[int], low: float) -> dict[str, Any]:
        """Votes of every leaf for each of `targets`, from `low` on."""
        rows = [(t, n, k) for t, n in self.leaves for k in targets]
        weights = np.round(self.rng.uniform(low, 1, len(rows)), 2).tolist()
        names = ("treeids", "nodeids", "ids")
        columns = dict(zip(names, zip(*rows, strict=True), strict=True))
        return {f"{prefix}_{k}": list(v) for k, v in columns.items()} | {
            f"{prefix}_weights": weights
        }


ORDERED = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]
EQUAL = ["BRANCH_EQ", "BRANCH_NEQ"]


def samples(seed: int, dtype: Any = np.float32) -> Any:
    """Samples of which some lie on a split."""
    return np.round(np.random.default_rng(seed).normal(size=(9, 3)), 1).astype(dtype)


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3])
def test_tree_regressor(aggregate: str, targets: int):
    forest = Forest(targets, ORDERED + EQUAL)
    proto = model_of(
        "TreeEnsembleRegressor",
        samples(1),
        n_targets=targets,
        aggregate_function=aggregate,
        base_values=[0.5 * k for k in range(targets)],
        **forest.nodes,
        **forest.votes("target", list(range(targets)), -1),
    )
    check_runtime(proto, samples(1), BACKENDS if targets == 3 else ["numpy"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_tree_classifier(dtype: Any, transform: str):
    forest = Forest(5, ORDERED)
    proto = model_of(
        "TreeEnsembleClassifier",
        samples(2, dtype),
        classlabels_int64s=[7, 3, 5],
        post_transform=transform,
        **forest.nodes,
        **forest.votes("class", [0, 1, 2], -1),
    )
    check_runtime(proto, samples(2, dtype), ["numpy"])


@pytest.mark.parametrize("low", [-1, 0])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_tree_classifier_of_one_score(low: int, place: int, transform: str):
    forest = Forest(8, ["BRANCH_LEQ"])
    proto = model_of(
        "TreeEnsembleClassifier",
        samples(3),
        classlabels_strings=["no", "yes"],
        post_transform=transform,
        **forest.nodes,
        **forest.votes("class", [place], low),
    )
    check_runtime(proto, samples(3), ["numpy"])


def test_tree_follows_missing_values():
    for missing in (False, True):
        forest = Forest(11, ORDERED, missing)
        x = samples(4)
        x[::2, 0] = np.nan
        proto = model_of(
            "TreeEnsembleRegressor",
            x,
            n_targets=1,
            **forest.nodes,
            **forest.votes("target", [0], 0),
        )
        check_runtime(proto, x, BACKENDS)


def test_tree_in_double_precision():
    """A split that float32 cannot tell from its neighbour."""
    split = 1 + 1e-12
    forest = Forest(1, ["BRANCH_LT"])
    nodes = {k: v for k, v in forest.nodes.items() if k != "nodes_values"}
    votes = forest.votes("target", [0], -1)
    held = numpy_helper.from_array(np.full(len(forest.nodes["nodes_modes"]), split))
    weights = numpy_helper.from_array(np.array(votes.pop("target_weights")))
    x = np.array([[1, 1, 1], [split, split, split], [2, 2, 2]])
    proto = model_of(
        "TreeEnsembleRegressor",
        x,
        n_targets=1,
        nodes_values_as_tensor=held,
        target_weights_as_tensor=weights,
        **nodes,
        **votes,
    )
    check_runtime(proto, x, BACKENDS)


def test_tree_notices_a_changed_vote():
    """What the comparisons above rest on: another weight is another result."""
    forest = Forest(2, ORDERED)
    votes = forest.votes("target", [0], 0)
    proto = model_of("TreeEnsembleRegressor", SMALL, **forest.nodes, **votes)
    before = run(proto, SMALL, "numpy")[0]
    votes["target_weights"] = [w + 0.01 for w in votes["target_weights"]]
    proto = model_of("TreeEnsembleRegressor", SMALL, **forest.nodes, **votes)
    with pytest.raises(AssertionError):
        agree(run(proto, SMALL, "numpy")[0], before)


LEAF_TREE: dict[str, Any] = {
    "leaf_targetids": (0, 1),
    "leaf_weights": np.array([1, 2], np.float32),
    "nodes_falseleafs": (1,),
    "nodes_falsenodeids": (1,),
    "nodes_featureids": (0,),
    "nodes_modes": np.array([0], np.uint8),
    "nodes_splits": np.array([0], np.float32),
    "nodes_trueleafs": (1,),
    "nodes_truenodeids": (0,),
    "tree_roots": (0,),
}


@pytest.mark.parametrize(
    ("aggregate", "wanted"),
    [(0, [[1, 0], [0, 2]]), (2, [[1, 0], [0, 2]]), (3, [[1, 0], [0, 2]])],
)
def test_tree_ensemble_targets_without_votes(aggregate: int, wanted: list[Any]):
    x = np.array([[-1], [1]], np.float16)
    y = trees.tree_ensemble(np, x, **LEAF_TREE, aggregate_function=aggregate)
    assert (y.dtype, y.tolist()) == (np.float16, wanted)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tree_roots": (1,)}, "wanted nodes below 1"),
        ({"nodes_truenodeids": (2,)}, "not one of 1 nodes, 2 leaves"),
        ({"nodes_trueleafs": (0,)}, "in a circle"),
        ({"nodes_featureids": (4,)}, "found 1 features, wanted 5"),
        ({"nodes_featureids": (-1,)}, "negative feature id"),
        ({"leaf_targetids": (0, 3), "n_targets": 2}, "a vote is for target 3"),
        ({"nodes_modes": np.array([6], np.uint8)}, "found 0 member sets, wanted 1"),
        ({"nodes_modes": np.array([7], np.uint8)}, "nodes_modes has 7"),
        ({"aggregate_function": 4}, "aggregate_function is 4"),
        ({"post_transform": 5}, "post_transform is 5"),
    ],
)
def test_tree_ensemble_refusals(changed: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        trees.tree_ensemble(np, np.zeros((2, 1), np.float32), **LEAF_TREE | changed)


STUMP: dict[str, Any] = {
    "nodes_treeids": (0, 0, 0),
    "nodes_nodeids": (0, 1, 2),
    "nodes_featureids": (0, 0, 0),
    "nodes_values": (0.0, 0.0, 0.0),
    "nodes_modes": ("BRANCH_LEQ", "LEAF", "LEAF"),
    "nodes_truenodeids": (1, 0, 0),
    "nodes_falsenodeids": (2, 0, 0),
    "target_treeids": (0, 0),
    "target_nodeids": (1, 2),
    "target_ids": (0, 0),
    "target_weights": (1.0, 2.0),
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"nodes_nodeids": (0, 1, 1)}, "two nodes have one"),
        ({"nodes_truenodeids": (9, 0, 0)}, "tree 0 has no node 9"),
        ({"nodes_truenodeids": (0, 0, 0)}, "in a circle"),
        ({"nodes_values": (0.0,)}, "lists of"),
        ({"nodes_modes": ("BRANCH_UP", "LEAF", "LEAF")}, "'BRANCH_UP'"),
        ({"target_nodeids": (1, 7)}, "node 7: there is none"),
        ({"target_ids": (0,)}, "votes, wanted one length"),
        ({"aggregate_function": "MEAN"}, "'MEAN'"),
        ({"base_values": (1.0, 2.0)}, "found 2 base values, wanted 1"),
    ],
)
def test_tree_regressor_refusals(changed: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        trees.tree_ensemble_regressor(np, SMALL, **STUMP | changed)


# --- linear models and support vector machines ---


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_linear(transform: str):
    common = {"intercepts": [0.2, -0.1, 0.4], "post_transform": transform}
    numbers = np.random.default_rng(1).normal(size=9).tolist()
    for op_type, given in (
        ("LinearClassifier", {"classlabels_ints": [4, 2, 9]}),
        ("LinearRegressor", {"targets": 3}),
    ):
        proto = model_of(op_type, SMALL, coefficients=numbers, **given, **common)
        check_runtime(proto, SMALL, BACKENDS if transform == "SOFTMAX" else ["numpy"])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_linear_classifier_of_one_score(transform: str):
    proto = model_of(
        "LinearClassifier",
        SMALL,
        coefficients=[0.3, -0.2, 0.5],
        intercepts=[0.1],
        classlabels_strings=["no", "yes"],
        post_transform=transform,
    )
    check_runtime(proto, SMALL, ["numpy"])


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("count", [2, 3, 4])
@pytest.mark.parametrize("probable", [False, True])
def test_svm_classifier(kernel: str, count: int, probable: bool):
    rng = np.random.default_rng(count)
    pairs, sizes = count * (count - 1) // 2, [2, 1, 3, 1][:count]
    attributes: dict[str, Any] = {}
    if probable:
        attributes["prob_a"] = (-rng.random(pairs) - 0.2).tolist()
        attributes["prob_b"] = rng.normal(size=pairs).tolist()
    proto = model_of(
        "SVMClassifier",
        SMALL,
        coefficients=rng.normal(size=(count - 1) * sum(sizes)).tolist(),
        rho=rng.normal(size=pairs).tolist(),
        support_vectors=rng.normal(size=3 * sum(sizes)).tolist(),
        vectors_per_class=sizes,
        kernel_type=kernel,
        kernel_params=[0.5, 0.3, 3.0],
        classlabels_ints=[5, 6, 7, 8][:count],
        post_transform=TRANSFORMS[count - 1],
        **attributes,
    )
    traced = kernel == "RBF" and probable
    check_runtime(proto, SMALL, BACKENDS if traced else ["numpy"])


@pytest.mark.parametrize("one_class", [0, 1])
@pytest.mark.parametrize("supports", [0, 2])
def test_svm_regressor(one_class: int, supports: int):
    proto = model_of(
        "SVMRegressor",
        SMALL,
        coefficients=[0.3, -0.8, 0.1][: supports or 3],
        rho=[0.1],
        support_vectors=[0.1, 0.2, 0.3, -0.3, 0.5, 1.0] if supports else None,
        n_supports=supports,
        kernel_type="RBF" if supports else "LINEAR",
        kernel_params=[0.5, 0.0, 3.0],
        one_class=one_class,
    )
    check_runtime(proto, SMALL, BACKENDS)


def test_svm_classifier_is_linear_without_vectors():
    proto = model_of(
        "SVMClassifier",
        SMALL,
        coefficients=np.linspace(-1, 1, 9).tolist(),
        rho=[0.1, 0.5, -0.5],
        kernel_params=[0.0, 0.0, 0.0],
        classlabels_ints=[1, 2, 3],
    )
    check_runtime(proto, SMALL, ["numpy"])


def test_linear_refusals():
    classify, labels = linear_models.linear_classifier, (1, 2)
    with pytest.raises(ValueError, match="found 4 coefficients"):
        classify(np, SMALL, (1.0,) * 4, labels)
    with pytest.raises(ValueError, match="no class labels"):
        classify(np, SMALL, (1.0,) * 6)
    with pytest.raises(ValueError, match="3 class labels for 2 scores"):
        classify(np, SMALL, (1.0,) * 6, (1, 2, 3))
    with pytest.raises(ValueError, match="found 2 values of rho, wanted 1"):
        linear_models.svm_classifier(
            np,
            SMALL,
            labels,
            coefficients=(1.0, 1.0),
            support_vectors=(0.0,) * 6,
            vectors_per_class=(1, 1),
            rho=(0.0, 0.0),
        )
    with pytest.raises(ValueError, match="kernel_type is 'COSINE'"):
        linear_models.kernel_values(np, SMALL, SMALL, "COSINE", ())
    with pytest.raises(ValueError, match="post_transform is 'TANH'"):
        scores.post_transformed(np, SMALL, "TANH")


def test_probit():
    """Within the approximation's error of the true quantiles, 0.0013 at most."""
    p = np.array([0.025, 0.25, 0.5, 0.84134475, 0.975])
    wanted = [-1.959964, -0.67449, 0, 1, 1.959964]
    np.testing.assert_allclose(scores.probit(np, p), wanted, atol=5e-3)


# --- features ---


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("Scaler", {"offset": [1.0, 0.0, -1.0], "scale": [2.0, 0.5, 3.0]}),
        ("Scaler", {"offset": [1.0], "scale": [2.0]}),
        ("Normalizer", {"norm": "L1"}),
        ("Normalizer", {"norm": "L2"}),
        ("Normalizer", {"norm": "MAX"}),
        ("Imputer", {"imputed_value_floats": [9.0], "replaced_value_float": 0.0}),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_features(op_type: str, attributes: dict[str, Any], backend: str):
    check_runtime(model_of(op_type, SMALL, **attributes), SMALL, [backend])


def test_normalizer_leaves_zeros():
    x = np.zeros((1, 3), np.int64)
    for norm in ("MAX", "L1", "L2"):
        assert features.normalizer(np, x, norm).tolist() == [[0, 0, 0]]


def test_imputer_of_nan_and_integers():
    x = np.array([[np.nan, 1], [2, np.nan]], np.float32)
    y = features.imputer(np, x, (7.0, 8.0), replaced_value_float=float("nan"))
    assert y.tolist() == [[7, 1], [2, 8]]
    y = features.imputer(np, np.array([[0, 1]]), imputed_value_int64s=(5,))
    assert y.tolist() == [[5, 1]]
    with pytest.raises(ValueError, match="imputed_value_int64s is missing"):
        features.imputer(np, np.array([[0, 1]]), (1.0,))


def test_feature_vectorizer():
    """Each input is cut or filled to its size; a vector is one row."""
    a, b = np.array([[1, 2], [3, 4]]), np.array([[5], [6]])
    y = features.feature_vectorizer(np, a, b, inputdimensions=(1, 2))
    assert (y.dtype, y.tolist()) == (np.float32, [[1, 5, 0], [3, 6, 0]])
    y = features.feature_vectorizer(np, a[0], b[0])
    assert y.tolist() == [[1, 2, 5]]
    with pytest.raises(ValueError, match="inputdimensions has 1 sizes, wanted 2"):
        features.feature_vectorizer(np, a, b, inputdimensions=(1,))


def test_array_feature_extractor():
    x, y = np.arange(6).reshape(2, 3), np.array([[2], [0]])
    assert features.array_feature_extractor(np, x, y).tolist() == [[2, 0], [5, 3]]
    assert features.array_feature_extractor(np, x[0], y).tolist() == [[2, 0]]
    with pytest.raises(IndexError, match="not all below 3"):
        features.array_feature_extractor(np, x, np.array([3]))


# --- categories and maps ---


@pytest.mark.parametrize("backend", BACKENDS)
def test_label_encoder_with_stored_tensors(backend: str):
    """More than 16 entries: the attributes are weights."""
    keys, values = np.arange(40)[::-1] * 2, np.arange(40) / 4
    x = np.array([[0, 78, 1], [-5, 99, 2]])
    held = {
        "keys_tensor": numpy_helper.from_array(keys),
        "values_tensor": numpy_helper.from_array(values),
        "default_tensor": numpy_helper.from_array(np.array([-1.5])),
    }
    proto = model_of("LabelEncoder", x, 4, **held)
    assert "#onnx.weight" in import_model(proto).text()
    wanted = [[9.75, 0, -1.5], [-1.5, -1.5, 9.5]]
    (found,) = run(proto, x, backend)
    assert np.asarray(found).tolist() == wanted


def test_label_encoder_of_nan_and_repeated_keys():
    """nan is a key as others are; the last of equal keys counts."""
    keys = (np.nan, 1.0, 1.0)
    x = np.array([1, np.nan, 2], np.float32)
    y = categories.label_encoder(
        np, x, keys_floats=keys, values_strings=("nan", "first", "last")
    )
    assert y.tolist() == ["last", "nan", "_Unused"]
    texts = np.array(["a", "b"], object)
    y = categories.label_encoder(
        np, texts, keys_strings=("a", "a"), values_floats=(1.0, 2.0), default_float=0.5
    )
    assert (y.dtype, y.tolist()) == (np.float32, [2, 0.5])


def test_label_encoder_refusals():
    encode = categories.label_encoder
    with pytest.raises(ValueError, match="found 0 lists of keys"):
        encode(np, SMALL, values_floats=(1.0,))
    with pytest.raises(ValueError, match="found 1 keys and 2 values"):
        encode(np, SMALL, keys_floats=(1.0,), values_floats=(1.0, 2.0))
    with pytest.raises(ValueError, match="wanted that of the keys"):
        encode(np, SMALL, keys_strings=("a",), values_floats=(1.0,))
    proto = model_of("LabelEncoder", SMALL, 2, keys_floats=[1.0])
    with pytest.raises(SardonyxError, match=r"'it' .*found 0 lists of values"):
        import_model(proto)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_hot_encoder(backend: str):
    x = np.array([[1.7, 2, -3.5]], np.float32)
    proto = model_of("OneHotEncoder", x, cats_int64s=[1, 2, -3])
    check_runtime(proto, x, [backend])


def test_one_hot_encoder_of_unknown_categories():
    x = np.array(["a", "x"], object)
    y = categories.one_hot_encoder(np, x, cats_strings=("a", "b"))
    assert y.tolist() == [[1, 0], [0, 0]]
    with pytest.raises(ValueError, match="found 'x', which is no category"):
        categories.one_hot_encoder(np, x, cats_strings=("a", "b"), zeros=0)


def test_category_mapper():
    numbers, texts = (3, 1), ("three", "one")
    x = np.array([1, 3, 2])
    y = categories.category_mapper(np, x, numbers, texts)
    assert y.tolist() == ["one", "three", "_Unused"]
    y = categories.category_mapper(np, y, numbers, texts, default_int64=9)
    assert (y.dtype, y.tolist()) == (np.int64, [1, 3, 9])


@pytest.mark.parametrize(
    "labels", [{"int64s": [4, 7, 9]}, {"strings": ["a", "b", "c"]}]
)
def test_zip_map(labels: dict[str, Any]):
    given = {f"classlabels_{name}": values for name, values in labels.items()}
    proto = model_of("ZipMap", SMALL, 1, **given)
    (found,) = run(proto, SMALL, "numpy")
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    assert found == session.run(None, {"x": SMALL})[0]
    with pytest.raises(ValueError, match="found 3 scores, wanted 1"):
        categories.zip_map(np, SMALL, (1,))


def test_dict_vectorizer():
    vectorize = categories.dict_vectorizer
    y = vectorize(np, {2: np.float64(0.5)}, int64_vocabulary=(1, 2))
    assert (y.dtype, y.tolist()) == (np.float64, [[0, 0.5]])
    y = vectorize(np, {1: "x"}, int64_vocabulary=(1, 2))
    assert y.tolist() == [["x", ""]]
    with pytest.raises(ValueError, match="no vocabulary"):
        vectorize(np, {1: "x"})


def test_cast_map():
    items = {5: "2", 0: "1.5"}
    assert categories.cast_map(np, items).tolist() == [[1.5, 2]]
    y = categories.cast_map(np, items, "TO_INT64", "SPARSE", 6)
    assert (y.dtype, y.tolist()) == (np.int64, [[1, 0, 0, 0, 0, 2]])
    assert categories.cast_map(np, {}, "TO_STRING").shape == (1, 0)
    with pytest.raises(ValueError, match="found key 5, wanted one below max_map, 5"):
        categories.cast_map(np, items, map_form="SPARSE", max_map=5)
    with pytest.raises(ValueError, match="cast_to is 'TO_BOOL'"):
        categories.cast_map(np, items, "TO_BOOL")
