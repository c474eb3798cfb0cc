"""scikit-learn's own predictions, from its models as skl2onnx writes them."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from sardonyx.compiler import compile_model
from sardonyx.compiler.verify import verify
from skl2onnx import to_onnx
from skl2onnx.common.data_types import (
    DictionaryType,
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn import (
    cluster,
    compose,
    decomposition,
    ensemble,
    feature_extraction,
    impute,
    linear_model,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 5)).astype(np.float32)
NUMBER = X[:, 0] + X[:, 1] * X[:, 2]
CLASSES = np.digitize(NUMBER, [-0.5, 0.5])
TARGETS = {
    "two": (NUMBER > 0).astype(np.int64),
    "three": CLASSES,
    "text": np.array(["low\n", "middle", "hígh"], object)[CLASSES],
    "number": NUMBER,
    "numbers": np.stack([NUMBER, X[:, 3] - NUMBER], axis=1),
}
KINDS = ("linear", "poly", "rbf", "sigmoid")
TREE = tree.DecisionTreeClassifier(max_depth=3, random_state=0)
LINE = linear_model.LogisticRegression()

CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "tree": lambda: tree.DecisionTreeClassifier(max_depth=4, random_state=0),
    "random forest": lambda: ensemble.RandomForestClassifier(5, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesClassifier(4, random_state=0),
    "boosting": lambda: ensemble.GradientBoostingClassifier(n_estimators=4),
    "ada boost": lambda: ensemble.AdaBoostClassifier(n_estimators=3, random_state=0),
    "bagging": lambda: ensemble.BaggingClassifier(TREE, 3, random_state=0),
    "logistic": lambda: linear_model.LogisticRegression(),
    "one against rest": lambda: multiclass.OneVsRestClassifier(LINE),
    "nu": lambda: svm.NuSVC(nu=0.2, probability=True, random_state=0),
    "gaussian bayes": lambda: naive_bayes.GaussianNB(),
    "bernoulli bayes": lambda: naive_bayes.BernoulliNB(),
    "network": lambda: neural_network.MLPClassifier((6,), max_iter=9, random_state=0),
    "neighbours": lambda: neighbors.KNeighborsClassifier(3),
    **{
        f"svc {kind}": functools.partial(svm.SVC, kernel=kind, probability=True)
        for kind in KINDS
    },
    "svc votes": lambda: svm.SVC(),
}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "tree": lambda: tree.DecisionTreeRegressor(max_depth=4, random_state=0),
    "random forest": lambda: ensemble.RandomForestRegressor(4, random_state=0),
    "extra trees": lambda: ensemble.ExtraTreesRegressor(4, random_state=0),
    "linear": lambda: linear_model.LinearRegression(),
    "neighbours": lambda: neighbors.KNeighborsRegressor(3),
}
SINGLE_REGRESSORS: dict[str, Callable[[], Any]] = {
    "boosting": lambda: ensemble.GradientBoostingRegressor(n_estimators=4),
    "network": lambda: neural_network.MLPRegressor(
        hidden_layer_sizes=(6,), max_iter=9, random_state=0
    ),
    **{f"svr {kind}": functools.partial(svm.SVR, kernel=kind) for kind in KINDS},
    "nu svr": lambda: svm.NuSVR(),
}
TRANSFORMERS: dict[str, Callable[[], Any]] = {
    "standard": lambda: preprocessing.StandardScaler(),
    "min max": lambda: preprocessing.MinMaxScaler(),
    "robust": lambda: preprocessing.RobustScaler(),
    "l1": lambda: preprocessing.Normalizer("l1"),
    "l2": lambda: preprocessing.Normalizer("l2"),
    "binarizer": lambda: preprocessing.Binarizer(threshold=0.3),
    "bins": lambda: preprocessing.KBinsDiscretizer(
        3, encode="onehot-dense", strategy="uniform"
    ),
    "pca": lambda: decomposition.PCA(3),
}
DETECTORS: dict[str, Callable[[], Any]] = {
    "isolation forest": lambda: ensemble.IsolationForest(
        n_estimators=6, random_state=0
    ),
    "k-means": lambda: cluster.KMeans(3, random_state=0, n_init=1),
    **{f"one class {k}": functools.partial(svm.OneClassSVM, kernel=k) for k in KINDS},
}
TRACED = ("boosting", "nu", "random forest", "svr poly", "isolation forest")
"""The models that JAX compiles too: one of every operator, for time's sake."""


def fitted(model: Any, x: Any = X, y: Any = None) -> Any:
    # Whether it converges is of no account here.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


def converted(model: Any, **options: Any) -> onnx.ModelProto:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = {} if "initial_types" in options else {"X": X[:1]}
        opset = {"": 18, "ai.onnx.ml": 3}
        return to_onnx(model, **given, **options, target_opset=opset)


def check(proto: onnx.ModelProto, x: Any, wanted: list[Any], backend: str) -> None:
    """Our outputs agree with `wanted` and, all of them, with ONNX Runtime's."""
    (name,) = [value.name for value in proto.graph.input]
    found = compile_model(proto, backend=backend)(**{name: x})
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    for a, b in zip(found, session.run(None, {name: x}), strict=True):
        agree(a, b, 1e-5)
        assert np.shape(a) == np.shape(b)
    for a, b in zip(found, wanted, strict=False):
        agree(np.reshape(a, np.shape(b)), b, 1e-4)


def agree(found: Any, wanted: Any, tolerance: float) -> None:
    found, wanted = np.asarray(found), np.asarray(wanted)
    if wanted.dtype.kind == "f":
        np.testing.assert_allclose(found, wanted, tolerance, tolerance)
    else:
        assert found.tolist() == wanted.tolist()


def predictions(model: Any, x: Any) -> list[Any]:
    known = hasattr(model, "predict_proba")
    return [model.predict(x), *([model.predict_proba(x)] if known else [])]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, target) for name in CLASSIFIERS for target in ("two", "three")),
        *((name, "text") for name in ("tree", "boosting", "nu", "svc votes")),
    ],
)
def test_classifier(name: str, target: str):
    model = fitted(CLASSIFIERS[name](), y=TARGETS[target])
    proto = converted(model, options={"zipmap": False})
    check(proto, X[:30], predictions(model, X[:30]), "numpy")
    if name in TRACED and target == "three":
        check(proto, X[:30], predictions(model, X[:30]), "jax")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *((name, target) for name in REGRESSORS for target in ("number", "numbers")),
        *((name, "number") for name in SINGLE_REGRESSORS),
    ],
)
def test_regressor(name: str, target: str):
    makers = {**SINGLE_REGRESSORS, **REGRESSORS}
    model = fitted(makers[name](), y=TARGETS[target])
    backends = ["numpy", "jax"] if name in TRACED else ["numpy"]
    for backend in backends:
        check(converted(model), X[:30], [model.predict(X[:30])], backend)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformer(name: str):
    model = fitted(TRANSFORMERS[name]())
    backends = ["numpy", "jax"] if name in TRACED else ["numpy"]
    for backend in backends:
        check(converted(model), X[:30], [model.transform(X[:30])], backend)


@pytest.mark.parametrize("name", DETECTORS)
def test_detector(name: str):
    model = fitted(DETECTORS[name]())
    backends = ["numpy", "jax"] if name in TRACED else ["numpy"]
    for backend in backends:
        check(converted(model), X[:30], [model.predict(X[:30])], backend)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_imputer(strategy: str):
    x = X.copy()
    x[::3, 1] = np.nan
    model = fitted(impute.SimpleImputer(strategy=strategy), x)
    check(converted(model), x[:30], [model.transform(x[:30])], "numpy")


def test_encoders_of_integers():
    x = (np.abs(X[:, :2]) * 2).astype(np.int64) % 4
    types = [("x", Int64TensorType([None, 2]))]
    hot = preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    for model in (fitted(hot, x), fitted(preprocessing.OrdinalEncoder(), x)):
        for backend in ("numpy", "jax"):
            check(
                converted(model, initial_types=types), x, [model.transform(x)], backend
            )


def test_label_encoders():
    for labels, kind in (
        (TARGETS["text"], StringTensorType),
        (CLASSES * 3, Int64TensorType),
    ):
        model = preprocessing.LabelEncoder().fit(labels)
        proto = converted(model, initial_types=[("x", kind([None]))])
        check(proto, labels, [model.transform(labels)], "numpy")


def test_columns_of_text_and_numbers():
    """Unknown categories, a column of strings and one of numbers, and a classifier."""
    towns = np.array(["Ulm", "Köln", "Hof"], object)[CLASSES][:, None]
    frame = np.concatenate([towns, X[:, :2].astype(object)], axis=1)
    columns = compose.ColumnTransformer(
        [
            ("town", preprocessing.OneHotEncoder(handle_unknown="ignore"), [0]),
            ("size", preprocessing.StandardScaler(), [1, 2]),
        ]
    )
    model = fitted(pipeline.make_pipeline(columns, LINE), frame, TARGETS["two"])
    types = [
        ("town", StringTensorType([None, 1])),
        ("a", FloatTensorType([None, 1])),
        ("b", FloatTensorType([None, 1])),
    ]
    proto = converted(model, initial_types=types, options={"zipmap": False})
    frame[0, 0] = "Rom"
    net = compile_model(proto, backend="numpy")
    size = frame[:, 1:].astype(np.float32)
    labels, scores = net(frame[:, :1], size[:, :1], size[:, 1:])
    agree(labels, model.predict(frame), 0)
    agree(scores, model.predict_proba(frame), 1e-5)


def test_maps_of_probabilities():
    model = fitted(linear_model.LogisticRegression(), y=TARGETS["text"])
    proto = converted(model)
    labels, maps = compile_model(proto, backend="numpy")(X[:4])
    agree(labels, model.predict(X[:4]), 0)
    for found, wanted in zip(maps, model.predict_proba(X[:4]), strict=True):
        assert list(found) == list(model.classes_)
        agree(list(found.values()), wanted, 1e-5)
    assert verify(proto, backend="numpy", inputs={"X": X[:4]}).ok
    by_jax = compile_model(proto, backend="jax")
    assert any("ZipMap" in said for said in by_jax.program.host)
    for found, wanted in zip(by_jax(X[:4])[1], maps, strict=True):
        assert list(found) == list(wanted)
        agree(list(found.values()), list(wanted.values()), 1e-5)


def test_dicts_of_features():
    rows = [{"a": 1.0, "b": 2.0}, {"c": 3.0}]
    model = feature_extraction.DictVectorizer(sparse=False).fit(rows)
    kind = DictionaryType(StringTensorType([1]), FloatTensorType([1]))
    net = compile_model(converted(model, initial_types=[("x", kind)]), backend="numpy")
    for row in rows:
        (found,) = net(row)
        assert found.dtype == np.float32
        assert found.tolist() == model.transform([row]).tolist()
    with pytest.raises(ValueError, match="'z', which is not in the vocabulary"):
        net({"z": 1.0})
    with pytest.raises(TypeError, match="found list, wanted a dict"):
        net([1.0])


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_histogram_boosting(backend: str):
    """Written by hand: skl2onnx cannot hand this model over to onnx's newest helper."""
    x = X.copy()
    x[::4, 0] = np.nan
    model = fitted(ensemble.HistGradientBoostingRegressor(max_iter=5), x, NUMBER)
    lists: dict[str, list[Any]] = {key: [] for key in _NODE_FIELDS + _VOTE_FIELDS}
    for number, (predictor,) in enumerate(model._predictors):
        for place, node in enumerate(predictor.nodes):
            leaf = bool(node["is_leaf"])
            values = (
                number,
                place,
                0 if leaf else int(node["feature_idx"]),
                "LEAF" if leaf else "BRANCH_LEQ",
                0.0 if leaf else float(node["num_threshold"]),
                0 if leaf else int(node["left"]),
                0 if leaf else int(node["right"]),
                0 if leaf else int(node["missing_go_to_left"]),
            )
            for key, value in zip(_NODE_FIELDS, values, strict=True):
                lists[key].append(value)
            if leaf:
                votes = (number, place, 0, float(node["value"]))
                for key, value in zip(_VOTE_FIELDS, votes, strict=True):
                    lists[key].append(value)
    base = [float(model._baseline_prediction[0, 0])]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=base,
        **lists,
    )
    graph = helper.make_graph(
        [node],
        "boosting",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 5])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    proto = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    check(proto, x, [model.predict(x)], backend)


_NODE_FIELDS = [
    f"nodes_{name}"
    for name in (
        "treeids",
        "nodeids",
        "featureids",
        "modes",
        "values",
        "truenodeids",
        "falsenodeids",
        "missing_value_tracks_true",
    )
]
_VOTE_FIELDS = [f"target_{name}" for name in ("treeids", "nodeids", "ids", "weights")]
