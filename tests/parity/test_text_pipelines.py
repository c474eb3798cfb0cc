"""Text to numbers: scikit-learn's vectorizers, which skl2onnx converts."""

from typing import Any

import numpy as np
import pytest
from sardonyx.compiler import compile_model
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import StringTensorType
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

TEXTS = [
    "The cat sat on the mat",
    "A dog, a cat and 2 mice!",
    "",
    "mat mat dog it's",
    "nothing known here",
]
VECTORIZERS = [
    CountVectorizer(),
    CountVectorizer(token_pattern="[a-z]+", ngram_range=(1, 2)),
    TfidfVectorizer(),
    TfidfVectorizer(lowercase=False, token_pattern="[a-zA-Z]+"),
    TfidfVectorizer(norm="l1", sublinear_tf=True, binary=True),
]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("vectorizer", VECTORIZERS, ids=str)
def test_vectorizer(vectorizer: Any, backend: str, assert_close: Any) -> None:
    vectorizer.fit(TEXTS[:-1])
    kinds = [("x", StringTensorType([None]))]
    model = convert_sklearn(vectorizer, initial_types=kinds, target_opset=18)
    assert "Tokenizer" in {node.op_type for node in model.graph.node}
    (found,) = compile_model(model, backend)(np.array(TEXTS, object))
    wanted = vectorizer.transform(TEXTS).toarray().astype(np.float32)
    assert_close(found, wanted, 4)
