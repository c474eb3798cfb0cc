"""
Small models of every kind that the importer treats in a way of its own: what the fuzzer
of hostile files mutates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

Files = dict[str, bytes]
"""A model's files by name; the model itself is `MODEL`."""

MODEL = "m.onnx"

_HEAD = '<ir_version: 10, opset_import: ["" : {}, "ai.onnx.ml" : 3, "own" : 1]>\n'


def _text(text: str, opset: int = 21) -> onnx.ModelProto:
    return parser.parse_model(_HEAD.format(opset) + text)


def _array(name: str, *shape: int, dtype: str = "float32") -> onnx.TensorProto:
    rng = np.random.default_rng(len(name) + sum(shape))
    return numpy_helper.from_array((rng.standard_normal(shape) * 2).astype(dtype), name)


def _with(model: onnx.ModelProto, *tensors: onnx.TensorProto) -> onnx.ModelProto:
    model.graph.initializer.extend(tensors)
    return model


def convolutions() -> onnx.ModelProto:
    """A classifier: its larger weights stay in the file."""
    text = """g (float[n,3,8,8] x) => (float[n,5] y) {
      [conv] c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, w, b)
      [norm] d = BatchNormalization (c, scale, bias, mean, var)
      e = Relu (d)
      f = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (e)
      h = Flatten (f)
      [fc] i = Gemm <transB = 1> (h, u, v)
      y = Softmax (i)
    }"""
    vectors = [_array(k, 16) for k in ("b", "scale", "bias", "mean")]
    variance = numpy_helper.from_array(np.linspace(1, 2, 16, dtype=np.float32), "var")
    matrices = [_array("w", 16, 3, 3, 3), _array("u", 5, 64), _array("v", 5)]
    return _with(_text(text), *matrices, *vectors, variance)


def control_flow() -> onnx.ModelProto:
    """If within Loop within Scan."""
    return _text("""g (int64 trips, bool go, float[2] s, float[4,2] x)
      => (float[2] e, float[4,2] all, float[2] z) {
      limit = Constant <value = float {3.5}> ()
      e, all = Scan <num_scan_inputs = 1, body = turn (float[2] p, float[2] r)
        => (float[2] q, float[2] o) {
          q = Add (p, r)
          three = Constant <value = int64 {3}> ()
          on = Constant <value = bool {1}> ()
          o = Loop (three, on, q) <body = inner (int64 k, bool c, float[2] t)
            => (bool d, float[2] u) {
              d = Identity (c)
              sum = ReduceSum <keepdims = 0> (t)
              large = Greater (sum, limit)
              u = If (large) <
                then_branch = yes () => (float[2] a) { a = Neg (t) },
                else_branch = no () => (float[2] b) { b = Add (t, p) }>
            }>
        }> (s, x)
      z = Loop (trips, go, s) <body = b (int64 k, bool c, float[2] t)
        => (bool d, float[2] u) { d = Identity (c)  u = Mul (t, s) }>
    }""")


def functions() -> onnx.ModelProto:
    """Functions that call functions, with attributes handed through."""
    model = _text("""g (float[2,n] x) => (float[2,n] y) {
      [one] a = own.outer <scale: float = 0.5> (x)
      [two] b = own.inner (a)
      y = own.inner <scale: float = 3.0> (b)
    }""")
    defined = (
        """<domain: "own", opset_import: ["" : 21]>
        inner <scale: float = 2.0> (p) => (q) {
          f = Constant <value_float: float = @scale> ()
          q = Mul (p, f)
        }""",
        """<domain: "own", opset_import: ["" : 21, "own" : 1]>
        outer <scale> (p) => (q) {
          t = own.inner <scale: float = @scale> (p)
          u = LeakyRelu <alpha: float = @scale> (t)
          q = own.inner (u)
        }""",
    )
    model.functions.extend(map(parser.parse_function, defined))
    return model


def shapes() -> onnx.ModelProto:
    """Shapes that the graph computes."""
    return _text("""g (float[batch,seq,8] x)
      => (float[batch,4,k,2] y, int64[seq] r, float[m,n,8] z, float[batch,o,8] w) {
      s = Shape (x)
      zero = Constant <value_ints = [0]> ()
      one = Constant <value_ints = [1]> ()
      two = Constant <value_ints = [2]> ()
      none = Constant <value_int = 0> ()
      unit = Constant <value_int = 1> ()
      batch = Gather <axis = 0> (s, zero)
      rest = Constant <value_ints = [4, -1, 2]> ()
      to = Concat <axis = 0> (batch, rest)
      y = Reshape (x, to)
      seq = Gather <axis = 0> (s, unit)
      r = Range (none, seq, unit)
      half = Slice (s, zero, two)
      fill = ConstantOfShape <value = float[1] {2.0}> (half)
      three = Unsqueeze (fill, two)
      wide = Add (three, x)
      times = Constant <value_ints = [2, 1, 1]> ()
      t = Tile (wide, times)
      pads = Constant <value_ints = [0, 1, 0, 0, 1, 0]> ()
      z = Pad (t, pads)
      u = Expand (x, s)
      w = Slice (u, one, two, one)
    }""")


def quantized() -> onnx.ModelProto:
    """Quantized products, packed and narrow weights."""
    text = """g (float[n,8] x) => (float[n,8] y, float[n,8] z, int32[n,8] i) {
      scale = Constant <value = float {0.05}> ()
      point = Constant <value = uint8 {128}> ()
      q = QuantizeLinear (x, scale, point)
      [product] p = QLinearMatMul (q, scale, point, w, s, t, scale, point)
      y = DequantizeLinear (p, scale, point)
      i = MatMulInteger (q, w, point, t)
      v = DequantizeLinear <axis = 1, block_size = 4> (packed, steps)
      z = MatMul (x, v)
    }"""
    rng = np.random.default_rng(0)
    packed = TensorProto(name="packed", data_type=TensorProto.INT4, dims=[8, 8])
    packed.raw_data = rng.bytes(32)
    bytes_ = numpy_helper.from_array(rng.integers(0, 255, (8, 8)).astype("uint8"), "w")
    tensors = [_array("steps", 8, 2), packed, bytes_]
    tensors += [helper.make_tensor("s", TensorProto.FLOAT, [], [0.1])]
    tensors += [helper.make_tensor("t", TensorProto.UINT8, [], [127])]
    return _with(_text(text), *tensors)


def sequences() -> onnx.ModelProto:
    """Sequences, optionals and strings."""
    text = """g (float[6,2] x, seq(float[2]) q, string[n] t)
      => (float[2,2] y, float[k] a, int64 c, bool h, string[n] u) {
      two = Constant <value_int = 2> ()
      one = Constant <value_int = 1> ()
      parts = SplitToSequence <axis = 0> (x, two)
      y = SequenceAt (parts, one)
      c = SequenceLength (q)
      a = ConcatFromSequence <axis = 0> (q)
      o = Optional (x)
      h = OptionalHasElement (o)
      u = StringConcat (t, tail)
    }"""
    tail = TensorProto(name="tail", data_type=TensorProto.STRING, dims=[1])
    tail.string_data.append("-straße".encode())
    return _with(_text(text), tail)


def old() -> onnx.ModelProto:
    """Opset 8: attributes that became inputs, and operators that are gone."""
    return _text(
        """g (float[2,4,6,6] x) => (float[2,36] y, float[2,4,12,12] u, float[2,144] v) {
      c = Clip <min = -1.0, max = 1.0> (x)
      d = Dropout <ratio = 0.25> (c)
      t = Slice <axes = [1], starts = [0], ends = [1]> (d)
      s = Squeeze <axes = [1]> (t)
      m = ReduceSum <axes = [1], keepdims = 0> (s)
      w = Unsqueeze <axes = [1]> (m)
      p = Pad <pads = [0, 0, 0, 0, 0, 30], mode = "constant", value = 1.5> (w)
      y = Flatten (p)
      u = Upsample <scales = [1.0, 1.0, 2.0, 2.0], mode = "nearest"> (x)
      f = Flatten (x)
      v = Softmax <axis = 1> (f)
    }""",
        8,
    )


def sparse() -> onnx.ModelProto:
    """Sparse initializers by place and by coordinates, and a sparse constant."""
    model = _text("""g (float[4,6] x) => (float[4,6] y) {
      a = Add (x, s)
      y = Mul (a, c)
    }""")
    cases = (("s", np.array([1, 7, 23])), ("c", np.array([[0, 1], [1, 1], [3, 5]])))
    for name, indices in cases:
        values = numpy_helper.from_array(np.array([1.5, -2, 3], np.float32), name)
        places = numpy_helper.from_array(indices, f"{name}_indices")
        model.graph.sparse_initializer.append(
            helper.make_sparse_tensor(values, places, [4, 6])
        )
    last = model.graph.sparse_initializer.pop()
    held = helper.make_node("Constant", [], ["c"], sparse_value=last)
    model.graph.node.insert(0, held)
    return model


def composites() -> onnx.ModelProto:
    """Operators with function bodies, recurrence and attention."""
    text = """g (float[n,4,8] x) => (float[n,4,8] y, float[4,1,n,3] r, float[n,4] e) {
      [norm] a = LayerNormalization <axis = -1> (x, gain)
      [act] b = Mish (a)
      [heads] c = Attention <q_num_heads = 2, kv_num_heads = 2> (b, b, b)
      y = Gelu (c)
      t = Transpose <perm = [1, 0, 2]> (x)
      r = LSTM <hidden_size = 3> (t, w, u)
      [sum] e = Einsum <equation = "bij,bij->bi"> (x, y)
    }"""
    tensors = [_array("gain", 8), _array("w", 1, 12, 8), _array("u", 1, 12, 3)]
    return _with(_text(text, 23), *tensors)


def encoders() -> onnx.ModelProto:
    """Long lists of attributes, strings among them."""
    keys = ", ".join(f'"word{i}"' for i in range(40))
    values = ", ".join(str(i * 7 % 40) for i in range(40))
    return _text(f"""g (string[n] t) => (int64[n] y) {{
      l = ai.onnx.ml.LabelEncoder <keys_strings = [{keys}],
        values_int64s = [{values}], default_int64 = -3> (t)
      y = Neg (l)
    }}""")


def folded() -> onnx.ModelProto:
    """Chains on constants: what fold-constants computes."""
    return _text("""g (float[2] x) => (float[2,3] y, int64[k] i, float[a,b] f) {
      size = Constant <value_ints = [2, 3]> ()
      start = Constant <value_int = 0> ()
      stop = Constant <value_int = 12> ()
      step = Constant <value_int = 2> ()
      i = Range (start, stop, step)
      fill = ConstantOfShape <value = float[1] {1.5}> (size)
      ones = Expand (fill, size)
      f = Tile (ones, size)
      axis = Constant <value_ints = [1]> ()
      column = Unsqueeze (x, axis)
      more = Add (ones, fill)
      y = Mul (column, more)
    }""")


def external() -> tuple[onnx.ModelProto, bytes]:
    """Two tensors in a file beside the model, and that file's content."""
    model = _text(
        "g (float[n,16] x) => (float[n,16] y) { t = MatMul(x, w) y = Add(t, b) }"
    )
    content = b""
    for tensor in (_array("w", 16, 16), _array("b", 16)):
        raw = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entries = {"location": "w.bin", "offset": len(content), "length": len(raw)}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        model.graph.initializer.append(tensor)
        content += raw
    return model, content


_MODELS: Sequence[Callable[[], onnx.ModelProto]] = (
    convolutions,
    control_flow,
    functions,
    shapes,
    quantized,
    sequences,
    old,
    sparse,
    composites,
    encoders,
    folded,
)


def bases() -> dict[str, Files]:
    """Every base model by name."""
    made = {make.__name__: {MODEL: make().SerializeToString()} for make in _MODELS}
    model, content = external()
    made["external"] = {MODEL: model.SerializeToString(), "w.bin": content}
    return made
