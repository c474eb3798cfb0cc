"""Every operator of onnx and ONNX Runtime; written by sardonyx.dialects.onnx.stub."""

from collections.abc import Sequence
from typing import Any

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    FloatAttr,
    IntegerAttr,
    StringAttr,
)
from xdsl.ir import Attribute, Dialect, OpResult, Region, SSAValue

from .base import OnnxOp

class AbsOp(OnnxOp):
    """Absolute takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where absolute value, y = abs(x), is applied to the tensor elementwise."""
    X: SSAValue
    Y: OpResult

class AcosOp(OnnxOp):
    """Calculates the arccosine (inverse of cosine) of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class AcoshOp(OnnxOp):
    """Calculates the hyperbolic arccosine of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class AddOp(OnnxOp):
    """Performs element-wise binary addition (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class AffineGridOp(OnnxOp):
    """Generates a 2D or 3D flow field (sampling grid), given a batch of affine matrices theta (https://pytorch.org/docs/stable/generated/torch.nn.functional.affine_gr"""
    theta: SSAValue
    size: SSAValue
    align_corners: IntegerAttr[Any]
    grid: OpResult

class AndOp(OnnxOp):
    """Returns the tensor resulted from performing the `and` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class ArgMaxOp(OnnxOp):
    """Computes the indices of the max elements of the input tensor's element along the provided axis."""
    data: SSAValue
    select_last_index: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    reduced: OpResult

class ArgMinOp(OnnxOp):
    """Computes the indices of the min elements of the input tensor's element along the provided axis."""
    data: SSAValue
    select_last_index: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    reduced: OpResult

class AsinOp(OnnxOp):
    """Calculates the arcsine (inverse of sine) of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class AsinhOp(OnnxOp):
    """Calculates the hyperbolic arcsine of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class AtanOp(OnnxOp):
    """Calculates the arctangent (inverse of tangent) of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class AtanhOp(OnnxOp):
    """Calculates the hyperbolic arctangent of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class AttentionOp(OnnxOp):
    """Computes scaled dot product attention on query, key and value tensors, using an optional attention mask if passed."""
    Q: SSAValue
    K: SSAValue
    V: SSAValue
    attn_mask: SSAValue
    past_key: SSAValue
    past_value: SSAValue
    nonpad_kv_seqlen: SSAValue
    right_window_size: IntegerAttr[Any]
    left_window_size: IntegerAttr[Any]
    qk_matmul_output_mode: IntegerAttr[Any]
    softcap: FloatAttr[Any]
    softmax_precision: IntegerAttr[Any] | None
    kv_num_heads: IntegerAttr[Any] | None
    q_num_heads: IntegerAttr[Any] | None
    scale: FloatAttr[Any] | None
    is_causal: IntegerAttr[Any]
    Y: OpResult
    present_key: OpResult
    present_value: OpResult
    qk_matmul_output: OpResult

class AveragePoolOp(OnnxOp):
    """AveragePool consumes an input tensor X and applies average pooling across the tensor according to kernel sizes, stride sizes, and pad lengths."""
    X: SSAValue
    count_include_pad: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    ceil_mode: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any]
    Y: OpResult

class BatchNormalizationOp(OnnxOp):
    """Carries out batch normalization as described in the paper https://arxiv.org/abs/1502.03167."""
    X: SSAValue
    scale: SSAValue
    B: SSAValue
    input_mean: SSAValue
    input_var: SSAValue
    training_mode: IntegerAttr[Any]
    momentum: FloatAttr[Any]
    epsilon: FloatAttr[Any]
    Y: OpResult
    running_mean: OpResult
    running_var: OpResult

class BernoulliOp(OnnxOp):
    """Draws binary random numbers (0 or 1) from a Bernoulli distribution."""
    input: SSAValue
    dtype: IntegerAttr[Any] | None
    seed: FloatAttr[Any] | None
    output: OpResult

class BitCastOp(OnnxOp):
    """Reinterprets the binary representation of a tensor as a different data type, specified by the 'to' attribute."""
    input: SSAValue
    to: IntegerAttr[Any]
    output: OpResult

class BitShiftOp(OnnxOp):
    """Bitwise shift operator performs element-wise operation."""
    X: SSAValue
    Y: SSAValue
    direction: StringAttr
    Z: OpResult

class BitwiseAndOp(OnnxOp):
    """Returns the tensor resulting from performing the bitwise `and` operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class BitwiseNotOp(OnnxOp):
    """Returns the bitwise not of the input tensor element-wise."""
    X: SSAValue
    Y: OpResult

class BitwiseOrOp(OnnxOp):
    """Returns the tensor resulting from performing the bitwise `or` operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class BitwiseXorOp(OnnxOp):
    """Returns the tensor resulting from performing the bitwise `xor` operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class BlackmanWindowOp(OnnxOp):
    """Generates a Blackman window as described in the paper https://ieeexplore.ieee.org/document/1455106."""
    size: SSAValue
    periodic: IntegerAttr[Any]
    output_datatype: IntegerAttr[Any]
    output: OpResult

class CastOp(OnnxOp):
    """The operator casts the elements of a given input tensor to a data type specified by the 'to' argument and returns an output tensor of the same size in the conve"""
    input: SSAValue
    round_mode: StringAttr
    saturate: IntegerAttr[Any]
    to: IntegerAttr[Any]
    output: OpResult

class CastLikeOp(OnnxOp):
    """The operator casts the elements of a given input tensor (the first input) to the same data type as the elements of the second input tensor."""
    input: SSAValue
    target_type: SSAValue
    round_mode: StringAttr
    saturate: IntegerAttr[Any]
    output: OpResult

class CausalConvWithStateOp(OnnxOp):
    """Stateful causal 1D depthwise convolution."""
    input: SSAValue
    weight: SSAValue
    bias: SSAValue
    past_state: SSAValue
    activation: StringAttr
    output: OpResult
    present_state: OpResult

class CeilOp(OnnxOp):
    """Ceil takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the ceil is, y = ceil(x), is applied to the tensor elementwise."""
    X: SSAValue
    Y: OpResult

class CeluOp(OnnxOp):
    """Continuously Differentiable Exponential Linear Units: Perform the linear unit element-wise on the input tensor X using formula: ``` max(0,x) + min(0,alpha*(exp("""
    X: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class CenterCropPadOp(OnnxOp):
    """Center crop or pad an input to given dimensions."""
    input_data: SSAValue
    shape: SSAValue
    axes: DenseArrayBase[Any] | None
    output_data: OpResult

class ClipOp(OnnxOp):
    """Clip operator limits the given input within an interval."""
    input: SSAValue
    min: SSAValue
    max: SSAValue
    output: OpResult

class Col2ImOp(OnnxOp):
    """The operator rearranges column blocks back into a multidimensional image Col2Im behaves similarly to PyTorch's fold https://pytorch.org/docs/stable/generated/to"""
    input: SSAValue
    image_shape: SSAValue
    block_shape: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    output: OpResult

class CompressOp(OnnxOp):
    """Selects slices from an input tensor along a given axis where condition evaluates to True for each axis index."""
    input: SSAValue
    condition: SSAValue
    axis: IntegerAttr[Any] | None
    output: OpResult

class ConcatOp(OnnxOp):
    """Concatenate a list of tensors into a single tensor."""
    inputs: Sequence[SSAValue]
    axis: IntegerAttr[Any]
    concat_result: OpResult

class ConcatFromSequenceOp(OnnxOp):
    """Concatenate a sequence of tensors into a single tensor."""
    input_sequence: SSAValue
    new_axis: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    concat_result: OpResult

class ConstantOp(OnnxOp):
    """This operator produces a constant tensor."""
    value_strings: ArrayAttr[StringAttr] | None
    value_string: StringAttr | None
    value_floats: DenseArrayBase[Any] | None
    value_float: FloatAttr[Any] | None
    value_ints: DenseArrayBase[Any] | None
    value_int: IntegerAttr[Any] | None
    sparse_value: Attribute | None
    value: Attribute | None
    output: OpResult

class ConstantOfShapeOp(OnnxOp):
    """Generate a tensor with given value and shape."""
    input: SSAValue
    value: Attribute | None
    output: OpResult

class ConvOp(OnnxOp):
    """The convolution operator consumes an input tensor and a filter, and computes the output."""
    X: SSAValue
    W: SSAValue
    B: SSAValue
    group: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    strides: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    Y: OpResult

class ConvIntegerOp(OnnxOp):
    """The integer convolution operator consumes an input tensor, its zero-point, a filter, and its zero-point, and computes the output."""
    x: SSAValue
    w: SSAValue
    x_zero_point: SSAValue
    w_zero_point: SSAValue
    group: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    strides: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    y: OpResult

class ConvTransposeOp(OnnxOp):
    """The convolution transpose operator consumes an input tensor and a filter, and computes the output."""
    X: SSAValue
    W: SSAValue
    B: SSAValue
    group: IntegerAttr[Any]
    auto_pad: StringAttr
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    output_padding: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    output_shape: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    Y: OpResult

class CosOp(OnnxOp):
    """Calculates the cosine of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class CoshOp(OnnxOp):
    """Calculates the hyperbolic cosine of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class CumProdOp(OnnxOp):
    """Performs cumulative product of the input elements along the given axis."""
    x: SSAValue
    axis: SSAValue
    reverse: IntegerAttr[Any]
    exclusive: IntegerAttr[Any]
    y: OpResult

class CumSumOp(OnnxOp):
    """Performs cumulative sum of the input elements along the given axis."""
    x: SSAValue
    axis: SSAValue
    reverse: IntegerAttr[Any]
    exclusive: IntegerAttr[Any]
    y: OpResult

class DFTOp(OnnxOp):
    """Computes the discrete Fourier Transform (DFT) of the input."""
    input: SSAValue
    dft_length: SSAValue
    axis: SSAValue
    inverse: IntegerAttr[Any]
    onesided: IntegerAttr[Any]
    output: OpResult

class DeformConvOp(OnnxOp):
    """Performs deformable convolution as described in https://arxiv.org/abs/1703.06211 and https://arxiv.org/abs/1811.11168."""
    X: SSAValue
    W: SSAValue
    offset: SSAValue
    B: SSAValue
    mask: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    offset_group: IntegerAttr[Any]
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    Y: OpResult

class DepthToSpaceOp(OnnxOp):
    """DepthToSpace rearranges (permutes) data from depth into blocks of spatial data."""
    input: SSAValue
    mode: StringAttr
    blocksize: IntegerAttr[Any]
    output: OpResult

class DequantizeLinearOp(OnnxOp):
    """The linear dequantization operator."""
    x: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    output_dtype: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    y: OpResult

class DetOp(OnnxOp):
    """Det calculates determinant of a square matrix or batches of square matrices."""
    X: SSAValue
    Y: OpResult

class DivOp(OnnxOp):
    """Performs element-wise binary division (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class DropoutOp(OnnxOp):
    """Dropout takes an input floating-point tensor, an optional input ratio (floating-point scalar) and an optional input training_mode (boolean scalar)."""
    data: SSAValue
    ratio: SSAValue
    training_mode: SSAValue
    seed: IntegerAttr[Any] | None
    output: OpResult
    mask: OpResult

class DynamicQuantizeLinearOp(OnnxOp):
    """A Function to fuse calculation for Scale, Zero Point and FP32->8Bit conversion of FP32 Input data."""
    x: SSAValue
    y: OpResult
    y_scale: OpResult
    y_zero_point: OpResult

class EinsumOp(OnnxOp):
    """An einsum of the form `term1, term2 -> output-term` produces an output tensor using the following equation ``` output[output-term] = reduce-sum( input1[term1] *"""
    Inputs: Sequence[SSAValue]
    equation: StringAttr
    Output: OpResult

class EluOp(OnnxOp):
    """Elu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the function `f(x) = alpha * (exp(x) - 1.) for x < 0`, `f(x) = x for x >= 0`"""
    X: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class EqualOp(OnnxOp):
    """Returns the tensor resulted from performing the `equal` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class ErfOp(OnnxOp):
    """Computes the error function of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class ExpOp(OnnxOp):
    """Calculates the exponential of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class ExpandOp(OnnxOp):
    """Broadcast the input tensor following the given shape and the broadcast rule."""
    input: SSAValue
    shape: SSAValue
    output: OpResult

class EyeLikeOp(OnnxOp):
    """Generate a 2D tensor (matrix) with ones on the diagonal and zeros everywhere else."""
    input: SSAValue
    dtype: IntegerAttr[Any] | None
    k: IntegerAttr[Any]
    output: OpResult

class FlattenOp(OnnxOp):
    """Flattens the input tensor into a 2D matrix."""
    input: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class FloorOp(OnnxOp):
    """Floor takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the floor is, y = floor(x), is applied to the tensor elementwise."""
    X: SSAValue
    Y: OpResult

class GRUOp(OnnxOp):
    """Computes an one-layer GRU."""
    X: SSAValue
    W: SSAValue
    R: SSAValue
    B: SSAValue
    sequence_lens: SSAValue
    initial_h: SSAValue
    clip: FloatAttr[Any] | None
    activation_beta: DenseArrayBase[Any] | None
    activation_alpha: DenseArrayBase[Any] | None
    hidden_size: IntegerAttr[Any] | None
    layout: IntegerAttr[Any]
    direction: StringAttr
    linear_before_reset: IntegerAttr[Any]
    activations: ArrayAttr[StringAttr] | None
    Y: OpResult
    Y_h: OpResult

class GatherOp(OnnxOp):
    """Given `data` tensor of rank r >= 1, and `indices` tensor of rank q, gather entries of the axis dimension of `data` (by default outer-most one as axis=0) indexed"""
    data: SSAValue
    indices: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class GatherElementsOp(OnnxOp):
    """GatherElements takes two inputs `data` and `indices` of the same rank r >= 1 and an optional attribute `axis` that identifies an axis of `data` (by default, the"""
    data: SSAValue
    indices: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class GatherNDOp(OnnxOp):
    """Given `data` tensor of rank `r` >= 1, `indices` tensor of rank `q` >= 1, and `batch_dims` integer `b`, this operator gathers slices of `data` into an output ten"""
    data: SSAValue
    indices: SSAValue
    batch_dims: IntegerAttr[Any]
    output: OpResult

class GeluOp(OnnxOp):
    """Gelu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the gaussian error linear units function, $y = 0.5 * x * (1 + erf(x/sqrt(2)"""
    X: SSAValue
    approximate: StringAttr
    Y: OpResult

class GemmOp(OnnxOp):
    """General Matrix multiplication: https://en.wikipedia.org/wiki/Basic_Linear_Algebra_Subprograms#Level_3 * A' = transpose(A) if transA else A * B' = transpose(B) i"""
    A: SSAValue
    B: SSAValue
    C: SSAValue
    beta: FloatAttr[Any]
    transB: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    transA: IntegerAttr[Any]
    Y: OpResult

class GlobalAveragePoolOp(OnnxOp):
    """GlobalAveragePool consumes an input tensor X and applies average pooling across the values in the same channel."""
    X: SSAValue
    Y: OpResult

class GlobalLpPoolOp(OnnxOp):
    """GlobalLpPool consumes an input tensor X and applies lp pool pooling across the values in the same channel."""
    X: SSAValue
    p: IntegerAttr[Any]
    Y: OpResult

class GlobalMaxPoolOp(OnnxOp):
    """GlobalMaxPool consumes an input tensor X and applies max pooling across the values in the same channel."""
    X: SSAValue
    Y: OpResult

class GreaterOp(OnnxOp):
    """Returns the tensor resulted from performing the `greater` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)"""
    A: SSAValue
    B: SSAValue
    C: OpResult

class GreaterOrEqualOp(OnnxOp):
    """Returns the tensor resulted from performing the `greater_equal` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting su"""
    A: SSAValue
    B: SSAValue
    C: OpResult

class GridSampleOp(OnnxOp):
    """Given an input `X` and a flow-field `grid`, computes the output `Y` using `X` values and pixel locations from the `grid`."""
    X: SSAValue
    grid: SSAValue
    align_corners: IntegerAttr[Any]
    padding_mode: StringAttr
    mode: StringAttr
    Y: OpResult

class GroupNormalizationOp(OnnxOp):
    """A GroupNormalization function."""
    X: SSAValue
    scale: SSAValue
    bias: SSAValue
    stash_type: IntegerAttr[Any]
    num_groups: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    Y: OpResult

class HammingWindowOp(OnnxOp):
    """Generates a Hamming window as described in the paper https://ieeexplore.ieee.org/document/1455106."""
    size: SSAValue
    periodic: IntegerAttr[Any]
    output_datatype: IntegerAttr[Any]
    output: OpResult

class HannWindowOp(OnnxOp):
    """Generates a Hann window as described in the paper https://ieeexplore.ieee.org/document/1455106."""
    size: SSAValue
    periodic: IntegerAttr[Any]
    output_datatype: IntegerAttr[Any]
    output: OpResult

class HardSigmoidOp(OnnxOp):
    """HardSigmoid takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the HardSigmoid function, y = max(0, min(1, alpha * x + beta)), is a"""
    X: SSAValue
    beta: FloatAttr[Any]
    alpha: FloatAttr[Any]
    Y: OpResult

class HardSwishOp(OnnxOp):
    """HardSwish takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the HardSwish function, y = x * max(0, min(1, alpha * x + beta)) = x *"""
    X: SSAValue
    Y: OpResult

class HardmaxOp(OnnxOp):
    """The operator computes the hardmax values for the given input: Hardmax(element in input, axis) = 1 if the element is the first maximum value along the specified """
    input: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class IdentityOp(OnnxOp):
    """Identity operator"""
    input: SSAValue
    output: OpResult

class IfOp(OnnxOp):
    """If conditional"""
    cond: SSAValue
    else_branch: Region
    then_branch: Region
    outputs: Sequence[OpResult]

class ImageDecoderOp(OnnxOp):
    """Loads and decodes and image from a file."""
    encoded_stream: SSAValue
    pixel_format: StringAttr
    image: OpResult

class InstanceNormalizationOp(OnnxOp):
    """Carries out instance normalization as described in the paper https://arxiv.org/abs/1607.08022."""
    input: SSAValue
    scale: SSAValue
    B: SSAValue
    epsilon: FloatAttr[Any]
    output: OpResult

class IsInfOp(OnnxOp):
    """Map infinity to true and other values to false."""
    X: SSAValue
    detect_negative: IntegerAttr[Any]
    detect_positive: IntegerAttr[Any]
    Y: OpResult

class IsNaNOp(OnnxOp):
    """Returns which elements of the input are NaN."""
    X: SSAValue
    Y: OpResult

class LRNOp(OnnxOp):
    """Local Response Normalization proposed in the [AlexNet paper](https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks.p"""
    X: SSAValue
    bias: FloatAttr[Any]
    beta: FloatAttr[Any]
    alpha: FloatAttr[Any]
    size: IntegerAttr[Any]
    Y: OpResult

class LSTMOp(OnnxOp):
    """Computes an one-layer LSTM."""
    X: SSAValue
    W: SSAValue
    R: SSAValue
    B: SSAValue
    sequence_lens: SSAValue
    initial_h: SSAValue
    initial_c: SSAValue
    P: SSAValue
    clip: FloatAttr[Any] | None
    activation_beta: DenseArrayBase[Any] | None
    activation_alpha: DenseArrayBase[Any] | None
    hidden_size: IntegerAttr[Any] | None
    direction: StringAttr
    input_forget: IntegerAttr[Any]
    layout: IntegerAttr[Any]
    activations: ArrayAttr[StringAttr] | None
    Y: OpResult
    Y_h: OpResult
    Y_c: OpResult

class LayerNormalizationOp(OnnxOp):
    """This is layer normalization defined in ONNX as function."""
    X: SSAValue
    Scale: SSAValue
    B: SSAValue
    stash_type: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    axis: IntegerAttr[Any]
    Y: OpResult
    Mean: OpResult
    InvStdDev: OpResult

class LeakyReluOp(OnnxOp):
    """LeakyRelu takes input data (Tensor<T>) and an argument alpha, and produces one output data (Tensor<T>) where the function `f(x) = alpha * x for x < 0`, `f(x) = """
    X: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class LessOp(OnnxOp):
    """Returns the tensor resulted from performing the `less` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class LessOrEqualOp(OnnxOp):
    """Returns the tensor resulted from performing the `less_equal` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting suppo"""
    A: SSAValue
    B: SSAValue
    C: OpResult

class LinearAttentionOp(OnnxOp):
    """Unified linear attention operator for autoregressive decoding (T=1) and prefill (T>1)."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    past_state: SSAValue
    decay: SSAValue
    beta: SSAValue
    chunk_size: IntegerAttr[Any]
    kv_num_heads: IntegerAttr[Any]
    q_num_heads: IntegerAttr[Any]
    scale: FloatAttr[Any]
    update_rule: StringAttr
    output: OpResult
    present_state: OpResult

class LogOp(OnnxOp):
    """Calculates the natural log of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class LogSoftmaxOp(OnnxOp):
    """The operator computes the log of softmax values for the given input: LogSoftmax(input, axis) = Log(Softmax(input, axis=axis)) The 'axis' attribute indicates the"""
    input: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class LoopOp(OnnxOp):
    """Generic Looping construct."""
    M: SSAValue
    cond: SSAValue
    v_initial: Sequence[SSAValue]
    body: Region
    v_final_and_scan_outputs: Sequence[OpResult]

class LpNormalizationOp(OnnxOp):
    """Given a matrix, apply Lp-normalization along the provided axis."""
    input: SSAValue
    p: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    output: OpResult

class LpPoolOp(OnnxOp):
    """LpPool consumes an input tensor X and applies Lp pooling across the tensor according to kernel sizes, stride sizes, and pad lengths."""
    X: SSAValue
    p: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    ceil_mode: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any]
    Y: OpResult

class MatMulOp(OnnxOp):
    """Matrix product that behaves like [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html)."""
    A: SSAValue
    B: SSAValue
    Y: OpResult

class MatMulIntegerOp(OnnxOp):
    """Matrix product that behaves like [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html)."""
    A: SSAValue
    B: SSAValue
    a_zero_point: SSAValue
    b_zero_point: SSAValue
    Y: OpResult

class MaxOp(OnnxOp):
    """Element-wise max of each of the input tensors (with Numpy-style broadcasting support)."""
    data_0: Sequence[SSAValue]
    max: OpResult

class MaxPoolOp(OnnxOp):
    """MaxPool consumes an input tensor X and applies max pooling across the tensor according to kernel sizes, stride sizes, and pad lengths."""
    X: SSAValue
    storage_order: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    ceil_mode: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any]
    Y: OpResult
    Indices: OpResult

class MaxRoiPoolOp(OnnxOp):
    """ROI max pool consumes an input tensor X and region of interests (RoIs) to apply max pooling across each RoI, to produce output 4-D tensor of shape (num_rois, ch"""
    X: SSAValue
    rois: SSAValue
    spatial_scale: FloatAttr[Any]
    pooled_shape: DenseArrayBase[Any]
    Y: OpResult

class MaxUnpoolOp(OnnxOp):
    """MaxUnpool essentially computes the partial inverse of the MaxPool op."""
    X: SSAValue
    I: SSAValue
    output_shape: SSAValue
    pads: DenseArrayBase[Any] | None
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any]
    output: OpResult

class MeanOp(OnnxOp):
    """Element-wise mean of each of the input tensors (with Numpy-style broadcasting support)."""
    data_0: Sequence[SSAValue]
    mean: OpResult

class MeanVarianceNormalizationOp(OnnxOp):
    """A MeanVarianceNormalization Function: Perform mean variance normalization on the input tensor X using formula: `(X-EX)/sqrt(E(X-EX)^2)`"""
    X: SSAValue
    axes: DenseArrayBase[Any]
    Y: OpResult

class MelWeightMatrixOp(OnnxOp):
    """Generate a MelWeightMatrix that can be used to re-weight a Tensor containing a linearly sampled frequency spectra (from DFT or STFT) into num_mel_bins frequency"""
    num_mel_bins: SSAValue
    dft_length: SSAValue
    sample_rate: SSAValue
    lower_edge_hertz: SSAValue
    upper_edge_hertz: SSAValue
    output_datatype: IntegerAttr[Any]
    output: OpResult

class MinOp(OnnxOp):
    """Element-wise min of each of the input tensors (with Numpy-style broadcasting support)."""
    data_0: Sequence[SSAValue]
    min: OpResult

class MishOp(OnnxOp):
    """Mish: A Self Regularized Non-Monotonic Neural Activation Function."""
    X: SSAValue
    Y: OpResult

class ModOp(OnnxOp):
    """Performs an element-wise binary modulo operation."""
    A: SSAValue
    B: SSAValue
    fmod: IntegerAttr[Any]
    C: OpResult

class MulOp(OnnxOp):
    """Performs element-wise binary multiplication (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class MultinomialOp(OnnxOp):
    """Generate a tensor of samples from a multinomial distribution according to the probabilities of each of the possible outcomes."""
    input: SSAValue
    dtype: IntegerAttr[Any]
    seed: FloatAttr[Any] | None
    sample_size: IntegerAttr[Any]
    output: OpResult

class NegOp(OnnxOp):
    """Neg takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where each element flipped sign, y = -x, is applied to the tensor elementwise."""
    X: SSAValue
    Y: OpResult

class NegativeLogLikelihoodLossOp(OnnxOp):
    """A NegativeLogLikelihoodLoss operator computes (weighted) negative log likelihood loss."""
    input: SSAValue
    target: SSAValue
    weight: SSAValue
    ignore_index: IntegerAttr[Any] | None
    reduction: StringAttr
    loss: OpResult

class NonMaxSuppressionOp(OnnxOp):
    """Filter out boxes that have high intersection-over-union (IOU) overlap with previously selected boxes."""
    boxes: SSAValue
    scores: SSAValue
    max_output_boxes_per_class: SSAValue
    iou_threshold: SSAValue
    score_threshold: SSAValue
    center_point_box: IntegerAttr[Any]
    selected_indices: OpResult

class NonZeroOp(OnnxOp):
    """Returns the indices of the elements that are non-zero (in row-major order - by dimension)."""
    X: SSAValue
    Y: OpResult

class NotOp(OnnxOp):
    """Returns the negation of the input tensor element-wise."""
    X: SSAValue
    Y: OpResult

class OneHotOp(OnnxOp):
    """Produces a one-hot tensor based on inputs."""
    indices: SSAValue
    depth: SSAValue
    values: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class OptionalOp(OnnxOp):
    """Constructs an optional-type value containing either an empty optional of a certain type specified by the attribute, or a non-empty value containing the input el"""
    input: SSAValue
    type: Attribute | None
    output: OpResult

class OptionalGetElementOp(OnnxOp):
    """If the input is a tensor or sequence type, it returns the input."""
    input: SSAValue
    output: OpResult

class OptionalHasElementOp(OnnxOp):
    """Returns true if (1) the input is an optional-type and contains an element, or, (2) the input is a tensor or sequence type."""
    input: SSAValue
    output: OpResult

class OrOp(OnnxOp):
    """Returns the tensor resulted from performing the `or` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class PReluOp(OnnxOp):
    """PRelu takes input data (Tensor<T>) and slope tensor as input, and produces one output data (Tensor<T>) where the function `f(x) = slope * x for x < 0`, `f(x) = """
    X: SSAValue
    slope: SSAValue
    Y: OpResult

class PadOp(OnnxOp):
    """Given a tensor containing the data to be padded (`data`), a tensor containing the number of start and end pad values for axis (`pads`), (optionally) a `mode`, a"""
    data: SSAValue
    pads: SSAValue
    constant_value: SSAValue
    axes: SSAValue
    mode: StringAttr
    output: OpResult

class PowOp(OnnxOp):
    """Pow takes input data (Tensor<T>) and exponent Tensor, and produces one output data (Tensor<T>) where the function `f(x) = x^exponent`, is applied to the data te"""
    X: SSAValue
    Y: SSAValue
    Z: OpResult

class QLinearConvOp(OnnxOp):
    """The convolution operator consumes a quantized input tensor, its scale and zero point, a quantized filter, its scale and zero point, and output's scale and zero """
    x: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    w: SSAValue
    w_scale: SSAValue
    w_zero_point: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    B: SSAValue
    group: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    strides: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    y: OpResult

class QLinearMatMulOp(OnnxOp):
    """Matrix product that behaves like [numpy.matmul](https://numpy.org/doc/stable/reference/generated/numpy.matmul.html)."""
    a: SSAValue
    a_scale: SSAValue
    a_zero_point: SSAValue
    b: SSAValue
    b_scale: SSAValue
    b_zero_point: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    y: OpResult

class QuantizeLinearOp(OnnxOp):
    """The linear quantization operator consumes a high-precision tensor, a scale, and a zero point to compute the low-precision/quantized tensor."""
    x: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    precision: IntegerAttr[Any]
    output_dtype: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    saturate: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    y: OpResult

class RMSNormalizationOp(OnnxOp):
    """This is RMS normalization defined in ONNX as function as described in the paper https://arxiv.org/pdf/1910.07467."""
    X: SSAValue
    scale: SSAValue
    stash_type: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    axis: IntegerAttr[Any]
    Y: OpResult

class RNNOp(OnnxOp):
    """Computes an one-layer simple RNN."""
    X: SSAValue
    W: SSAValue
    R: SSAValue
    B: SSAValue
    sequence_lens: SSAValue
    initial_h: SSAValue
    clip: FloatAttr[Any] | None
    activation_beta: DenseArrayBase[Any] | None
    activation_alpha: DenseArrayBase[Any] | None
    hidden_size: IntegerAttr[Any] | None
    layout: IntegerAttr[Any]
    direction: StringAttr
    activations: ArrayAttr[StringAttr]
    Y: OpResult
    Y_h: OpResult

class RandomNormalOp(OnnxOp):
    """Generate a tensor with random values drawn from a normal distribution."""
    shape: DenseArrayBase[Any]
    dtype: IntegerAttr[Any]
    seed: FloatAttr[Any] | None
    scale: FloatAttr[Any]
    mean: FloatAttr[Any]
    output: OpResult

class RandomNormalLikeOp(OnnxOp):
    """Generate a tensor with random values drawn from a normal distribution."""
    input: SSAValue
    dtype: IntegerAttr[Any] | None
    seed: FloatAttr[Any] | None
    scale: FloatAttr[Any]
    mean: FloatAttr[Any]
    output: OpResult

class RandomUniformOp(OnnxOp):
    """Generate a tensor with random values drawn from a uniform distribution."""
    shape: DenseArrayBase[Any]
    dtype: IntegerAttr[Any]
    seed: FloatAttr[Any] | None
    high: FloatAttr[Any]
    low: FloatAttr[Any]
    output: OpResult

class RandomUniformLikeOp(OnnxOp):
    """Generate a tensor with random values drawn from a uniform distribution."""
    input: SSAValue
    dtype: IntegerAttr[Any] | None
    seed: FloatAttr[Any] | None
    high: FloatAttr[Any]
    low: FloatAttr[Any]
    output: OpResult

class RangeOp(OnnxOp):
    """Generate a tensor containing a sequence of numbers that begin at `start` and extends by increments of `delta` up to `limit` (exclusive)."""
    start: SSAValue
    limit: SSAValue
    delta: SSAValue
    stash_type: IntegerAttr[Any]
    output: OpResult

class ReciprocalOp(OnnxOp):
    """Reciprocal takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the reciprocal is, y = 1/x, is applied to the tensor elementwise."""
    X: SSAValue
    Y: OpResult

class ReduceL1Op(OnnxOp):
    """Computes the L1 norm of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceL2Op(OnnxOp):
    """Computes the L2 norm of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceLogSumOp(OnnxOp):
    """Computes the log sum of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceLogSumExpOp(OnnxOp):
    """Computes the log sum exponent of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceMaxOp(OnnxOp):
    """Computes the max of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceMeanOp(OnnxOp):
    """Computes the mean of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceMinOp(OnnxOp):
    """Computes the min of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceProdOp(OnnxOp):
    """Computes the product of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceSumOp(OnnxOp):
    """Computes the sum of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class ReduceSumSquareOp(OnnxOp):
    """Computes the sum square of the input tensor's elements along the provided axes."""
    data: SSAValue
    axes: SSAValue
    noop_with_empty_axes: IntegerAttr[Any]
    keepdims: IntegerAttr[Any]
    reduced: OpResult

class RegexFullMatchOp(OnnxOp):
    """RegexFullMatch performs a full regex match on each element of the input tensor."""
    X: SSAValue
    pattern: StringAttr | None
    Y: OpResult

class ReluOp(OnnxOp):
    """Relu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified linear function, y = max(0, x), is applied to the tensor elem"""
    X: SSAValue
    Y: OpResult

class ReshapeOp(OnnxOp):
    """Reshape the input tensor similar to numpy.reshape."""
    data: SSAValue
    shape: SSAValue
    allowzero: IntegerAttr[Any]
    reshaped: OpResult

class ResizeOp(OnnxOp):
    """Resize the input tensor."""
    X: SSAValue
    roi: SSAValue
    scales: SSAValue
    sizes: SSAValue
    keep_aspect_ratio_policy: StringAttr
    axes: DenseArrayBase[Any] | None
    antialias: IntegerAttr[Any]
    extrapolation_value: FloatAttr[Any]
    exclude_outside: IntegerAttr[Any]
    nearest_mode: StringAttr
    coordinate_transformation_mode: StringAttr
    cubic_coeff_a: FloatAttr[Any]
    mode: StringAttr
    Y: OpResult

class ReverseSequenceOp(OnnxOp):
    """Reverse batch of sequences having different lengths specified by `sequence_lens`."""
    input: SSAValue
    sequence_lens: SSAValue
    batch_axis: IntegerAttr[Any]
    time_axis: IntegerAttr[Any]
    Y: OpResult

class RoiAlignOp(OnnxOp):
    """Region of Interest (RoI) align operation described in the [Mask R-CNN paper](https://arxiv.org/abs/1703.06870)."""
    X: SSAValue
    rois: SSAValue
    batch_indices: SSAValue
    coordinate_transformation_mode: StringAttr
    mode: StringAttr
    output_height: IntegerAttr[Any]
    sampling_ratio: IntegerAttr[Any]
    output_width: IntegerAttr[Any]
    spatial_scale: FloatAttr[Any]
    Y: OpResult

class RotaryEmbeddingOp(OnnxOp):
    """RotaryEmbedding is the implementation of rotary positional embeddings (RoPE) based on the paper https://arxiv.org/pdf/2104.09864."""
    X: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    position_ids: SSAValue
    num_heads: IntegerAttr[Any] | None
    rotary_embedding_dim: IntegerAttr[Any]
    interleaved: IntegerAttr[Any]
    Y: OpResult

class RoundOp(OnnxOp):
    """Round takes one input Tensor and rounds the values, element-wise, meaning it finds the nearest integer for each value."""
    X: SSAValue
    Y: OpResult

class STFTOp(OnnxOp):
    """Computes the Short-time Fourier Transform of the signal."""
    signal: SSAValue
    frame_step: SSAValue
    window: SSAValue
    frame_length: SSAValue
    onesided: IntegerAttr[Any]
    output: OpResult

class ScanOp(OnnxOp):
    """Scan can be used to iterate over one or more scan_input tensors, constructing zero or more scan_output tensors."""
    initial_state_and_scan_inputs: Sequence[SSAValue]
    scan_input_axes: DenseArrayBase[Any] | None
    scan_output_axes: DenseArrayBase[Any] | None
    scan_output_directions: DenseArrayBase[Any] | None
    scan_input_directions: DenseArrayBase[Any] | None
    num_scan_inputs: IntegerAttr[Any]
    body: Region
    final_state_and_scan_outputs: Sequence[OpResult]

class ScatterOp(OnnxOp):
    """This operator is deprecated."""
    data: SSAValue
    indices: SSAValue
    updates: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class ScatterElementsOp(OnnxOp):
    """ScatterElements takes three inputs `data`, `updates`, and `indices` of the same rank r >= 1 and an optional attribute axis that identifies an axis of `data` (by"""
    data: SSAValue
    indices: SSAValue
    updates: SSAValue
    reduction: StringAttr
    axis: IntegerAttr[Any]
    output: OpResult

class ScatterNDOp(OnnxOp):
    """ScatterND takes three inputs `data` tensor of rank r >= 1, `indices` tensor of rank q >= 1, and `updates` tensor of rank q + r - indices.shape[-1] - 1."""
    data: SSAValue
    indices: SSAValue
    updates: SSAValue
    reduction: StringAttr
    output: OpResult

class SeluOp(OnnxOp):
    """Selu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the scaled exponential linear unit function, `y = gamma * (alpha * e^x - al"""
    X: SSAValue
    gamma: FloatAttr[Any]
    alpha: FloatAttr[Any]
    Y: OpResult

class SequenceAtOp(OnnxOp):
    """Outputs a tensor copy from the tensor at 'position' in 'input_sequence'."""
    input_sequence: SSAValue
    position: SSAValue
    tensor: OpResult

class SequenceConstructOp(OnnxOp):
    """Construct a tensor sequence containing 'inputs' tensors."""
    inputs: Sequence[SSAValue]
    output_sequence: OpResult

class SequenceEmptyOp(OnnxOp):
    """Construct an empty tensor sequence, with given data type."""
    dtype: IntegerAttr[Any] | None
    output: OpResult

class SequenceEraseOp(OnnxOp):
    """Outputs a tensor sequence that removes the tensor at 'position' from 'input_sequence'."""
    input_sequence: SSAValue
    position: SSAValue
    output_sequence: OpResult

class SequenceInsertOp(OnnxOp):
    """Outputs a tensor sequence that inserts 'tensor' into 'input_sequence' at 'position'."""
    input_sequence: SSAValue
    tensor: SSAValue
    position: SSAValue
    output_sequence: OpResult

class SequenceLengthOp(OnnxOp):
    """Produces a scalar(tensor of empty shape) containing the number of tensors in 'input_sequence'."""
    input_sequence: SSAValue
    length: OpResult

class SequenceMapOp(OnnxOp):
    """Applies a sub-graph to each sample in the input sequence(s)."""
    input_sequence: SSAValue
    additional_inputs: Sequence[SSAValue]
    body: Region
    out_sequence: Sequence[OpResult]

class ShapeOp(OnnxOp):
    """Takes a tensor as input and outputs an 1D int64 tensor containing the shape of the input tensor."""
    data: SSAValue
    end: IntegerAttr[Any] | None
    start: IntegerAttr[Any]
    shape: OpResult

class ShrinkOp(OnnxOp):
    """Shrink takes one input data (Tensor<numeric>) and produces one Tensor output, having same datatype and shape with input."""
    input: SSAValue
    bias: FloatAttr[Any]
    lambd: FloatAttr[Any]
    output: OpResult

class SigmoidOp(OnnxOp):
    """Sigmoid takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the sigmoid function, y = 1 / (1 + exp(-x)), is applied to the tensor el"""
    X: SSAValue
    Y: OpResult

class SignOp(OnnxOp):
    """Calculate the sign of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class SimplifiedLayerNormalizationOp(OnnxOp):
    """Root-mean-square normalization."""
    X: SSAValue
    scale: SSAValue
    stash_type: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    axis: IntegerAttr[Any]
    Y: OpResult
    inv_std_var: OpResult

class SinOp(OnnxOp):
    """Calculates the sine of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class SinhOp(OnnxOp):
    """Calculates the hyperbolic sine of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class SizeOp(OnnxOp):
    """Takes a tensor as input and outputs a int64 scalar that equals to the total number of elements of the input tensor."""
    data: SSAValue
    size: OpResult

class SliceOp(OnnxOp):
    """Produces a slice of the input tensor along multiple axes."""
    data: SSAValue
    starts: SSAValue
    ends: SSAValue
    axes: SSAValue
    steps: SSAValue
    output: OpResult

class SoftmaxOp(OnnxOp):
    """The operator computes the normalized exponential values for the given input: Softmax(input, axis) = Exp(input) / ReduceSum(Exp(input), axis=axis, keepdims=1) Th"""
    input: SSAValue
    axis: IntegerAttr[Any]
    output: OpResult

class SoftmaxCrossEntropyLossOp(OnnxOp):
    """Loss function that measures the softmax cross entropy between 'scores' and 'labels'."""
    scores: SSAValue
    labels: SSAValue
    weights: SSAValue
    ignore_index: IntegerAttr[Any] | None
    reduction: StringAttr
    output: OpResult
    log_prob: OpResult

class SoftplusOp(OnnxOp):
    """Softplus takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the softplus function, y = ln(exp(x) + 1), is applied to the tensor ele"""
    X: SSAValue
    Y: OpResult

class SoftsignOp(OnnxOp):
    """Calculates the softsign (x/(1+|x|)) of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class SpaceToDepthOp(OnnxOp):
    """SpaceToDepth rearranges blocks of spatial data into depth."""
    input: SSAValue
    mode: StringAttr
    blocksize: IntegerAttr[Any]
    output: OpResult

class SplitOp(OnnxOp):
    """Split a tensor into a list of tensors, along the specified 'axis'."""
    input: SSAValue
    split: SSAValue
    num_outputs: IntegerAttr[Any] | None
    axis: IntegerAttr[Any]
    outputs: Sequence[OpResult]

class SplitToSequenceOp(OnnxOp):
    """Split a tensor into a sequence of tensors, along the specified 'axis'."""
    input: SSAValue
    split: SSAValue
    keepdims: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    output_sequence: OpResult

class SqrtOp(OnnxOp):
    """Square root takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the square root is, y = x^0.5, is applied to the tensor elementwise."""
    X: SSAValue
    Y: OpResult

class SqueezeOp(OnnxOp):
    """Remove single-dimensional entries from the shape of a tensor."""
    data: SSAValue
    axes: SSAValue
    squeezed: OpResult

class StringConcatOp(OnnxOp):
    """StringConcat concatenates string tensors elementwise (with NumPy-style broadcasting support)"""
    X: SSAValue
    Y: SSAValue
    Z: OpResult

class StringNormalizerOp(OnnxOp):
    """StringNormalization performs string operations for basic cleaning."""
    X: SSAValue
    stopwords: ArrayAttr[StringAttr] | None
    locale: StringAttr | None
    is_case_sensitive: IntegerAttr[Any]
    case_change_action: StringAttr
    Y: OpResult

class StringSplitOp(OnnxOp):
    """StringSplit splits a string tensor's elements into substrings based on a delimiter attribute and a maxsplit attribute."""
    X: SSAValue
    maxsplit: IntegerAttr[Any] | None
    delimiter: StringAttr | None
    Y: OpResult
    Z: OpResult

class SubOp(OnnxOp):
    """Performs element-wise binary subtraction (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class SumOp(OnnxOp):
    """Element-wise sum of each of the input tensors (with Numpy-style broadcasting support)."""
    data_0: Sequence[SSAValue]
    sum: OpResult

class SwiGLUOp(OnnxOp):
    """SwiGLU is a gated activation that takes two inputs, a gate `A` and a linear (value) input `B`, and produces one output `Y`."""
    A: SSAValue
    B: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class SwishOp(OnnxOp):
    """Swish function takes one input data (Tensor<T>) and produces one output data (Tensor<T>) of the same shape, where $Swish(x) = x * sigmoid(alpha * x)$."""
    X: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class TanOp(OnnxOp):
    """Calculates the tangent of the given input tensor, element-wise."""
    input: SSAValue
    output: OpResult

class TanhOp(OnnxOp):
    """Calculates the hyperbolic tangent of the given input tensor element-wise."""
    input: SSAValue
    output: OpResult

class TensorScatterOp(OnnxOp):
    """TensorScatter is a generic tensor update operation, motivated by the requirements for KV cache updates for Attention ops commonly found in LLMs."""
    past_cache: SSAValue
    update: SSAValue
    write_indices: SSAValue
    mode: StringAttr
    axis: IntegerAttr[Any]
    present_cache: OpResult

class TfIdfVectorizerOp(OnnxOp):
    """This transform extracts n-grams from the input sequence and save them as a vector."""
    X: SSAValue
    mode: StringAttr
    ngram_indexes: DenseArrayBase[Any]
    weights: DenseArrayBase[Any] | None
    ngram_counts: DenseArrayBase[Any]
    pool_int64s: DenseArrayBase[Any] | None
    pool_strings: ArrayAttr[StringAttr] | None
    max_skip_count: IntegerAttr[Any]
    min_gram_length: IntegerAttr[Any]
    max_gram_length: IntegerAttr[Any]
    Y: OpResult

class ThresholdedReluOp(OnnxOp):
    """ThresholdedRelu takes one input data (Tensor<T>) and produces one output data (Tensor<T>) where the rectified linear function, y = x for x > alpha, y = 0 otherw"""
    X: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class TileOp(OnnxOp):
    """Constructs a tensor by tiling a given tensor."""
    input: SSAValue
    repeats: SSAValue
    output: OpResult

class TopKOp(OnnxOp):
    """Retrieve the top-K largest or smallest elements along a specified axis."""
    X: SSAValue
    K: SSAValue
    sorted: IntegerAttr[Any]
    largest: IntegerAttr[Any]
    axis: IntegerAttr[Any]
    Values: OpResult
    Indices: OpResult

class TransposeOp(OnnxOp):
    """Returns a transpose of the input tensor."""
    data: SSAValue
    perm: DenseArrayBase[Any] | None
    transposed: OpResult

class TriluOp(OnnxOp):
    """Given a 2-D matrix or batches of 2-D matrices, returns the upper or lower triangular part of the tensor(s)."""
    input: SSAValue
    k: SSAValue
    upper: IntegerAttr[Any]
    output: OpResult

class UniqueOp(OnnxOp):
    """Find the unique elements of a tensor."""
    X: SSAValue
    axis: IntegerAttr[Any] | None
    sorted: IntegerAttr[Any]
    Y: OpResult
    indices: OpResult
    inverse_indices: OpResult
    counts: OpResult

class UnsqueezeOp(OnnxOp):
    """Insert single-dimensional entries to the shape of an input tensor (`data`)."""
    data: SSAValue
    axes: SSAValue
    expanded: OpResult

class UpsampleOp(OnnxOp):
    """Upsample the input tensor."""
    X: SSAValue
    scales: SSAValue
    mode: StringAttr
    Y: OpResult

class WhereOp(OnnxOp):
    """Return elements, either from X or Y, depending on condition."""
    condition: SSAValue
    X: SSAValue
    Y: SSAValue
    output: OpResult

class XorOp(OnnxOp):
    """Returns the tensor resulted from performing the `xor` logical operation elementwise on the input tensors `A` and `B` (with Numpy-style broadcasting support)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class ArrayFeatureExtractorOp(OnnxOp):
    """Select elements of the input tensor based on the indices passed.<br> The indices are applied to the last axes of the tensor."""
    X: SSAValue
    Y: SSAValue
    Z: OpResult

class BinarizerOp(OnnxOp):
    """Maps the values of the input tensor to either 0 or 1, element-wise, based on the outcome of a comparison against a threshold value."""
    X: SSAValue
    threshold: FloatAttr[Any]
    Y: OpResult

class CastMapOp(OnnxOp):
    """Converts a map to a tensor.<br>The map key must be an int64 and the values will be ordered in ascending order based on this key.<br>The operator supports dense """
    X: SSAValue
    max_map: IntegerAttr[Any]
    map_form: StringAttr
    cast_to: StringAttr
    Y: OpResult

class CategoryMapperOp(OnnxOp):
    """Converts strings to integers and vice versa.<br> Two sequences of equal length are used to map between integers and strings, with strings and integers at the sa"""
    X: SSAValue
    default_int64: IntegerAttr[Any]
    default_string: StringAttr
    cats_int64s: DenseArrayBase[Any] | None
    cats_strings: ArrayAttr[StringAttr] | None
    Y: OpResult

class DictVectorizerOp(OnnxOp):
    """Uses an index mapping to convert a dictionary to an array.<br> Given a dictionary, each key is looked up in the vocabulary attribute corresponding to the key ty"""
    X: SSAValue
    int64_vocabulary: DenseArrayBase[Any] | None
    string_vocabulary: ArrayAttr[StringAttr] | None
    Y: OpResult

class FeatureVectorizerOp(OnnxOp):
    """Concatenates input tensors into one continuous output.<br> All input shapes are 2-D and are concatenated along the second dimension."""
    X: Sequence[SSAValue]
    inputdimensions: DenseArrayBase[Any] | None
    Y: OpResult

class ImputerOp(OnnxOp):
    """Replaces inputs that equal one value with another, leaving all other elements alone.<br> This operator is typically used to replace missing values in situations"""
    X: SSAValue
    replaced_value_int64: IntegerAttr[Any]
    imputed_value_int64s: DenseArrayBase[Any] | None
    replaced_value_float: FloatAttr[Any]
    imputed_value_floats: DenseArrayBase[Any] | None
    Y: OpResult

class LabelEncoderOp(OnnxOp):
    """Maps each element in the input tensor to another value.<br> The mapping is determined by the two parallel attributes, 'keys_*' and 'values_*' attribute."""
    X: SSAValue
    default_tensor: Attribute | None
    default_int64: IntegerAttr[Any]
    default_float: FloatAttr[Any]
    default_string: StringAttr
    values_int64s: DenseArrayBase[Any] | None
    values_strings: ArrayAttr[StringAttr] | None
    values_tensor: Attribute | None
    keys_floats: DenseArrayBase[Any] | None
    keys_strings: ArrayAttr[StringAttr] | None
    values_floats: DenseArrayBase[Any] | None
    keys_int64s: DenseArrayBase[Any] | None
    keys_tensor: Attribute | None
    Y: OpResult

class LinearClassifierOp(OnnxOp):
    """Linear classifier"""
    X: SSAValue
    post_transform: StringAttr
    classlabels_ints: DenseArrayBase[Any] | None
    classlabels_strings: ArrayAttr[StringAttr] | None
    multi_class: IntegerAttr[Any]
    intercepts: DenseArrayBase[Any] | None
    coefficients: DenseArrayBase[Any]
    Y: OpResult
    Z: OpResult

class LinearRegressorOp(OnnxOp):
    """Generalized linear regression evaluation.<br> If targets is set to 1 (default) then univariate regression is performed.<br> If targets is set to M then M sets o"""
    X: SSAValue
    targets: IntegerAttr[Any]
    intercepts: DenseArrayBase[Any] | None
    coefficients: DenseArrayBase[Any] | None
    post_transform: StringAttr
    Y: OpResult

class NormalizerOp(OnnxOp):
    """Normalize the input."""
    X: SSAValue
    norm: StringAttr
    Y: OpResult

class OneHotEncoderOp(OnnxOp):
    """Replace each input element with an array of ones and zeros, where a single one is placed at the index of the category that was passed in."""
    X: SSAValue
    zeros: IntegerAttr[Any]
    cats_strings: ArrayAttr[StringAttr] | None
    cats_int64s: DenseArrayBase[Any] | None
    Y: OpResult

class SVMClassifierOp(OnnxOp):
    """Support Vector Machine classifier"""
    X: SSAValue
    classlabels_ints: DenseArrayBase[Any] | None
    rho: DenseArrayBase[Any] | None
    prob_b: DenseArrayBase[Any] | None
    coefficients: DenseArrayBase[Any] | None
    classlabels_strings: ArrayAttr[StringAttr] | None
    prob_a: DenseArrayBase[Any] | None
    support_vectors: DenseArrayBase[Any] | None
    vectors_per_class: DenseArrayBase[Any] | None
    post_transform: StringAttr
    kernel_params: DenseArrayBase[Any] | None
    kernel_type: StringAttr
    Y: OpResult
    Z: OpResult

class SVMRegressorOp(OnnxOp):
    """Support Vector Machine regression prediction and one-class SVM anomaly detection."""
    X: SSAValue
    rho: DenseArrayBase[Any] | None
    coefficients: DenseArrayBase[Any] | None
    n_supports: IntegerAttr[Any]
    one_class: IntegerAttr[Any]
    support_vectors: DenseArrayBase[Any] | None
    post_transform: StringAttr
    kernel_params: DenseArrayBase[Any] | None
    kernel_type: StringAttr
    Y: OpResult

class ScalerOp(OnnxOp):
    """Rescale input data, for example to standardize features by removing the mean and scaling to unit variance."""
    X: SSAValue
    scale: DenseArrayBase[Any] | None
    offset: DenseArrayBase[Any] | None
    Y: OpResult

class TreeEnsembleOp(OnnxOp):
    """Tree Ensemble operator."""
    X: SSAValue
    aggregate_function: IntegerAttr[Any]
    post_transform: IntegerAttr[Any]
    tree_roots: DenseArrayBase[Any]
    nodes_hitrates: Attribute | None
    nodes_missing_value_tracks_true: DenseArrayBase[Any] | None
    nodes_modes: Attribute
    leaf_weights: Attribute
    leaf_targetids: DenseArrayBase[Any]
    nodes_falsenodeids: DenseArrayBase[Any]
    n_targets: IntegerAttr[Any] | None
    nodes_trueleafs: DenseArrayBase[Any]
    nodes_featureids: DenseArrayBase[Any]
    nodes_splits: Attribute
    nodes_falseleafs: DenseArrayBase[Any]
    nodes_truenodeids: DenseArrayBase[Any]
    membership_values: Attribute | None
    Y: OpResult

class TreeEnsembleClassifierOp(OnnxOp):
    """This operator is DEPRECATED."""
    X: SSAValue
    base_values_as_tensor: Attribute | None
    post_transform: StringAttr
    classlabels_int64s: DenseArrayBase[Any] | None
    class_weights_as_tensor: Attribute | None
    class_weights: DenseArrayBase[Any] | None
    classlabels_strings: ArrayAttr[StringAttr] | None
    class_ids: DenseArrayBase[Any] | None
    nodes_nodeids: DenseArrayBase[Any] | None
    nodes_treeids: DenseArrayBase[Any] | None
    nodes_featureids: DenseArrayBase[Any] | None
    nodes_values_as_tensor: Attribute | None
    nodes_falsenodeids: DenseArrayBase[Any] | None
    nodes_hitrates: DenseArrayBase[Any] | None
    base_values: DenseArrayBase[Any] | None
    nodes_missing_value_tracks_true: DenseArrayBase[Any] | None
    nodes_values: DenseArrayBase[Any] | None
    nodes_hitrates_as_tensor: Attribute | None
    nodes_modes: ArrayAttr[StringAttr] | None
    nodes_truenodeids: DenseArrayBase[Any] | None
    class_treeids: DenseArrayBase[Any] | None
    class_nodeids: DenseArrayBase[Any] | None
    Y: OpResult
    Z: OpResult

class TreeEnsembleRegressorOp(OnnxOp):
    """This operator is DEPRECATED."""
    X: SSAValue
    base_values_as_tensor: Attribute | None
    aggregate_function: StringAttr
    post_transform: StringAttr
    n_targets: IntegerAttr[Any] | None
    target_weights_as_tensor: Attribute | None
    target_ids: DenseArrayBase[Any] | None
    nodes_nodeids: DenseArrayBase[Any] | None
    nodes_treeids: DenseArrayBase[Any] | None
    nodes_featureids: DenseArrayBase[Any] | None
    target_nodeids: DenseArrayBase[Any] | None
    nodes_values_as_tensor: Attribute | None
    target_weights: DenseArrayBase[Any] | None
    nodes_falsenodeids: DenseArrayBase[Any] | None
    nodes_hitrates: DenseArrayBase[Any] | None
    base_values: DenseArrayBase[Any] | None
    nodes_missing_value_tracks_true: DenseArrayBase[Any] | None
    nodes_values: DenseArrayBase[Any] | None
    nodes_hitrates_as_tensor: Attribute | None
    nodes_modes: ArrayAttr[StringAttr] | None
    nodes_truenodeids: DenseArrayBase[Any] | None
    target_treeids: DenseArrayBase[Any] | None
    Y: OpResult

class ZipMapOp(OnnxOp):
    """Creates a map from the input and the attributes.<br> The values are provided by the input tensor, while the keys are specified by the attributes."""
    X: SSAValue
    classlabels_int64s: DenseArrayBase[Any] | None
    classlabels_strings: ArrayAttr[StringAttr] | None
    Z: OpResult

class FlexAttentionOp(OnnxOp):
    """Computes scaled dot-product attention over rank-4 (batched, multi-head) inputs, with optional user-provided customization subgraphs at two stages: 1."""
    Q: SSAValue
    K: SSAValue
    V: SSAValue
    prob_mod: Region
    score_mod: Region
    softmax_precision: IntegerAttr[Any] | None
    scale: FloatAttr[Any] | None
    Y: OpResult

class AdagradOp(OnnxOp):
    """Compute one iteration of ADAGRAD, a stochastic gradient based optimization algorithm."""
    R: SSAValue
    T: SSAValue
    inputs: Sequence[SSAValue]
    norm_coefficient: FloatAttr[Any]
    decay_factor: FloatAttr[Any]
    epsilon: FloatAttr[Any]
    outputs: Sequence[OpResult]

class AdamOp(OnnxOp):
    """Compute one iteration of Adam, a stochastic gradient based optimization algorithm."""
    R: SSAValue
    T: SSAValue
    inputs: Sequence[SSAValue]
    epsilon: FloatAttr[Any]
    norm_coefficient_post: FloatAttr[Any]
    norm_coefficient: FloatAttr[Any]
    beta: FloatAttr[Any]
    alpha: FloatAttr[Any]
    outputs: Sequence[OpResult]

class GradientOp(OnnxOp):
    """Gradient operator computes the partial derivatives of a specific tensor w.r.t."""
    Inputs: Sequence[SSAValue]
    y: StringAttr
    zs: ArrayAttr[StringAttr] | None
    xs: ArrayAttr[StringAttr]
    Outputs: Sequence[OpResult]

class MomentumOp(OnnxOp):
    """Compute one iteration of stochastic gradient update with momentum."""
    R: SSAValue
    T: SSAValue
    inputs: Sequence[SSAValue]
    norm_coefficient: FloatAttr[Any]
    beta: FloatAttr[Any]
    mode: StringAttr
    alpha: FloatAttr[Any]
    outputs: Sequence[OpResult]

class MicrosoftAttentionOp(OnnxOp):
    """Self-attention of an input that is projected to Q, K and V here."""
    input: SSAValue
    weights: SSAValue
    bias: SSAValue
    mask_index: SSAValue
    past: SSAValue
    attention_bias: SSAValue
    past_sequence_length: SSAValue
    unidirectional: IntegerAttr[Any]
    scale: FloatAttr[Any] | None
    qkv_hidden_sizes: DenseArrayBase[Any] | None
    past_present_share_buffer: IntegerAttr[Any] | None
    mask_filter_value: FloatAttr[Any] | None
    do_rotary: IntegerAttr[Any] | None
    rotary_embedding_dim: IntegerAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult
    present: OpResult

class MicrosoftAttnLSTMOp(OnnxOp):
    """LSTM whose steps attend to a memory."""
    X: SSAValue
    W: SSAValue
    R: SSAValue
    B: SSAValue
    sequence_lens: SSAValue
    initial_h: SSAValue
    initial_c: SSAValue
    P: SSAValue
    QW: SSAValue
    MW: SSAValue
    V: SSAValue
    M: SSAValue
    memory_seq_lens: SSAValue
    AW: SSAValue
    input_forget: IntegerAttr[Any]
    hidden_size: IntegerAttr[Any] | None
    direction: StringAttr
    clip: FloatAttr[Any] | None
    activations: ArrayAttr[StringAttr] | None
    activation_beta: DenseArrayBase[Any] | None
    activation_alpha: DenseArrayBase[Any] | None
    Y: OpResult
    Y_h: OpResult
    Y_c: OpResult

class MicrosoftBiasAddOp(OnnxOp):
    """Bias and residual added to an input: X + bias + skip."""
    X: SSAValue
    bias: SSAValue
    skip: SSAValue
    Y: OpResult

class MicrosoftBiasGeluOp(OnnxOp):
    """Exact Gelu of a biased input: Gelu(A + B)."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class MicrosoftBiasSoftmaxOp(OnnxOp):
    """Softmax of a sum, the bias broadcast over inner or outer axes."""
    data: SSAValue
    bias: SSAValue
    axis: IntegerAttr[Any]
    is_inner_broadcast: IntegerAttr[Any]
    output: OpResult

class MicrosoftBiasSplitGeluOp(OnnxOp):
    """Biased input split in halves along the last axis: first * Gelu(second)."""
    X: SSAValue
    bias: SSAValue
    Y: OpResult

class MicrosoftBranchwiseRMSNormOp(OnnxOp):
    """Root-mean-square normalization of each branch by itself."""
    X: SSAValue
    scale: SSAValue
    num_branches: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    Y: OpResult

class MicrosoftCDistOp(OnnxOp):
    """Distances between all pairs of rows of two matrices."""
    A: SSAValue
    B: SSAValue
    metric: StringAttr
    C: OpResult

class MicrosoftCausalConvWithStateOp(OnnxOp):
    """Depthwise causal convolution along time that carries its last inputs."""
    input: SSAValue
    weight: SSAValue
    bias: SSAValue
    past_state: SSAValue
    state_update_capacity: IntegerAttr[Any]
    state_window: IntegerAttr[Any]
    state_length: IntegerAttr[Any]
    state_channels_last: IntegerAttr[Any]
    ndim: IntegerAttr[Any]
    input_channel_offset: IntegerAttr[Any]
    dilation: IntegerAttr[Any]
    input_channels: IntegerAttr[Any]
    channels_last: IntegerAttr[Any]
    activation: StringAttr
    output: OpResult
    present_state: OpResult
    state_update: OpResult

class MicrosoftComplexMulOp(OnnxOp):
    """Product of complex numbers held as pairs in the last axis."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class MicrosoftComplexMulConjOp(OnnxOp):
    """Product with the conjugate, complex numbers as pairs in the last axis."""
    A: SSAValue
    B: SSAValue
    C: OpResult

class MicrosoftConvStateReplayOp(OnnxOp):
    """History of a causal convolution after some of the captured inputs are kept."""
    source_backing: SSAValue
    capture_backing: SSAValue
    destination_backing: SSAValue
    metadata: SSAValue
    destination_out: OpResult

class MicrosoftConvTransposeWithDynamicPadsOp(OnnxOp):
    """ConvTranspose whose pads are an input."""
    X: SSAValue
    W: SSAValue
    Pads: SSAValue
    B: SSAValue
    strides: DenseArrayBase[Any] | None
    output_padding: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    Y: OpResult

class MicrosoftCropAndResizeOp(OnnxOp):
    """Boxes cut from an image and resized to one size."""
    X: SSAValue
    rois: SSAValue
    batch_indices: SSAValue
    crop_size: SSAValue
    mode: StringAttr
    extrapolation_value: FloatAttr[Any]
    Y: OpResult

class MicrosoftDecoderAttentionOp(OnnxOp):
    """Self- or cross-attention of a decoder with a cache of keys and values."""
    query: SSAValue
    key: SSAValue
    q_weight: SSAValue
    kv_weight: SSAValue
    bias: SSAValue
    key_padding_mask: SSAValue
    key_cache: SSAValue
    value_cache: SSAValue
    static_kv: SSAValue
    use_past: SSAValue
    has_layer_state: SSAValue
    has_key_padding_mask: SSAValue
    mask_filter_value: FloatAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult
    new_key_cache: OpResult
    new_value_cache: OpResult

class MicrosoftDecoderMaskedMultiHeadAttentionOp(OnnxOp):
    """One step of attention of a decoder, beams and cache included."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    mask_index: SSAValue
    attention_bias: SSAValue
    past_key: SSAValue
    past_value: SSAValue
    past_sequence_length: SSAValue
    beam_width: SSAValue
    cache_indirection: SSAValue
    bias: SSAValue
    scale: FloatAttr[Any] | None
    past_present_share_buffer: IntegerAttr[Any] | None
    output_qk: IntegerAttr[Any] | None
    mask_filter_value: FloatAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult
    present_key: OpResult
    present_value: OpResult
    qk: OpResult

class MicrosoftDecoderMaskedSelfAttentionOp(OnnxOp):
    """One step of projected self-attention of a decoder with a shared cache."""
    input: SSAValue
    weights: SSAValue
    bias: SSAValue
    mask_index: SSAValue
    past: SSAValue
    attention_bias: SSAValue
    past_sequence_length: SSAValue
    beam_width: SSAValue
    cache_indirection: SSAValue
    scale: FloatAttr[Any] | None
    past_present_share_buffer: IntegerAttr[Any] | None
    mask_filter_value: FloatAttr[Any] | None
    do_rotary: IntegerAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult
    present: OpResult

class MicrosoftDequantizeBFPOp(OnnxOp):
    """Real values of block floating point."""
    x: SSAValue
    shape: SSAValue
    strides: SSAValue
    dtype: IntegerAttr[Any]
    block_dim: IntegerAttr[Any]
    bfp_type: IntegerAttr[Any]
    y: OpResult

class MicrosoftDequantizeLinearOp(OnnxOp):
    """(x - zero_point) * scale, per tensor or per axis, for 4, 8, 16 and 32 bits."""
    x: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    axis: IntegerAttr[Any] | None
    y: OpResult

class MicrosoftDequantizeWithOrderOp(OnnxOp):
    """Real values of int8 data in an order of cuBLASLt."""
    input: SSAValue
    scale_input: SSAValue
    to: IntegerAttr[Any]
    order_output: IntegerAttr[Any]
    order_input: IntegerAttr[Any]
    output: OpResult

class MicrosoftDynamicQuantizeLSTMOp(OnnxOp):
    """LSTM with int8 weights whose inputs are quantized as they come."""
    X: SSAValue
    W: SSAValue
    R: SSAValue
    B: SSAValue
    sequence_lens: SSAValue
    initial_h: SSAValue
    initial_c: SSAValue
    P: SSAValue
    W_scale: SSAValue
    W_zero_point: SSAValue
    R_scale: SSAValue
    R_zero_point: SSAValue
    input_forget: IntegerAttr[Any]
    hidden_size: IntegerAttr[Any] | None
    direction: StringAttr
    clip: FloatAttr[Any] | None
    activations: ArrayAttr[StringAttr] | None
    activation_beta: DenseArrayBase[Any] | None
    activation_alpha: DenseArrayBase[Any] | None
    Y: OpResult
    Y_h: OpResult
    Y_c: OpResult

class MicrosoftDynamicQuantizeMatMulOp(OnnxOp):
    """Product with an int8 matrix, the left side quantized as it comes."""
    A: SSAValue
    B: SSAValue
    b_scale: SSAValue
    b_zero_point: SSAValue
    bias: SSAValue
    Y: OpResult

class MicrosoftDynamicSparseAttentionOp(OnnxOp):
    """Attention to the blocks of keys that an indexer selected."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    past_key: SSAValue
    past_value: SSAValue
    auxiliary_key: SSAValue
    auxiliary_value: SSAValue
    selected_indices: SSAValue
    selected_counts: SSAValue
    seqlens_k: SSAValue
    total_sequence_length: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    position_ids: SSAValue
    q_norm_weight: SSAValue
    k_norm_weight: SSAValue
    head_sink: SSAValue
    committed_length: SSAValue
    key_scale: SSAValue
    value_scale: SSAValue
    kv_num_heads: IntegerAttr[Any]
    auxiliary_kv_shared: IntegerAttr[Any]
    do_rotary: IntegerAttr[Any]
    num_heads: IntegerAttr[Any]
    qk_norm_epsilon: FloatAttr[Any]
    smooth_softmax: IntegerAttr[Any]
    attention_mode: StringAttr
    rotary_offset: IntegerAttr[Any]
    local_window_size: IntegerAttr[Any]
    output_bf16: IntegerAttr[Any]
    rotary_interleaved: IntegerAttr[Any]
    scale: FloatAttr[Any] | None
    is_causal: IntegerAttr[Any]
    selected_kv_source: StringAttr
    output: OpResult
    present_key: OpResult
    present_value: OpResult
    validation_status: OpResult

class MicrosoftDynamicTimeWarpingOp(OnnxOp):
    """The cheapest monotonic path through a matrix of costs."""
    input: SSAValue
    output: OpResult

class MicrosoftEmbedLayerNormalizationOp(OnnxOp):
    """LayerNormalization of the sum of word, position and segment embeddings."""
    input_ids: SSAValue
    segment_ids: SSAValue
    word_embedding: SSAValue
    position_embedding: SSAValue
    segment_embedding: SSAValue
    gamma: SSAValue
    beta: SSAValue
    mask: SSAValue
    position_ids: SSAValue
    mask_index_type: IntegerAttr[Any] | None
    epsilon: FloatAttr[Any]
    output: OpResult
    mask_index: OpResult
    embedding_sum: OpResult

class MicrosoftEngramGateOp(OnnxOp):
    """Gate between a hidden state and embeddings that n-grams looked up."""
    key: SSAValue
    query: SSAValue
    value: SSAValue
    key_norm_scale: SSAValue
    query_norm_scale: SSAValue
    conv_norm_scale: SSAValue
    epsilon: FloatAttr[Any]
    output: OpResult
    gated_value_normed: OpResult

class MicrosoftExpandDimsOp(OnnxOp):
    """A new axis of size one at a position given as an input."""
    X: SSAValue
    axis: SSAValue
    Y: OpResult

class MicrosoftFastGeluOp(OnnxOp):
    """Gelu by its tanh formula, of a biased input."""
    X: SSAValue
    bias: SSAValue
    Y: OpResult

class MicrosoftFusedConvOp(OnnxOp):
    """Conv plus an addend, then an activation."""
    X: SSAValue
    W: SSAValue
    B: SSAValue
    Z: SSAValue
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    pads: DenseArrayBase[Any] | None
    activation_params: DenseArrayBase[Any] | None
    activation: StringAttr | None
    Y: OpResult

class MicrosoftFusedGemmOp(OnnxOp):
    """Gemm, then an activation."""
    A: SSAValue
    B: SSAValue
    C: SSAValue
    transB: IntegerAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    beta: FloatAttr[Any]
    activation_gamma: FloatAttr[Any] | None
    activation_beta: FloatAttr[Any] | None
    activation_alpha: FloatAttr[Any] | None
    activation: StringAttr | None
    Y: OpResult

class MicrosoftFusedMatMulOp(OnnxOp):
    """alpha * op(A) @ op(B), with transposes of matrix and batch axes."""
    A: SSAValue
    B: SSAValue
    transBatchB: IntegerAttr[Any]
    transBatchA: IntegerAttr[Any]
    transB: IntegerAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftFusedMatMulActivationOp(OnnxOp):
    """FusedMatMul, then an activation."""
    A: SSAValue
    B: SSAValue
    transBatchB: IntegerAttr[Any]
    transBatchA: IntegerAttr[Any]
    transB: IntegerAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    activation_gamma: FloatAttr[Any] | None
    activation_beta: FloatAttr[Any] | None
    activation_axis: IntegerAttr[Any] | None
    activation_alpha: FloatAttr[Any] | None
    activation: StringAttr
    Y: OpResult

class MicrosoftGatedAddOp(OnnxOp):
    """Residual plus a gated branch."""
    X: SSAValue
    Y: SSAValue
    gate: SSAValue
    gate_weight: SSAValue
    output: OpResult

class MicrosoftGatedDeltaNetOp(OnnxOp):
    """Recurrent linear attention by the gated delta rule."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    cu_seqlens: SSAValue
    decay: SSAValue
    beta: SSAValue
    initial_state: SSAValue
    a_log: SSAValue
    dt_bias: SSAValue
    capture_count: SSAValue
    state_update_active: SSAValue
    state_update_capacity: IntegerAttr[Any]
    scale: FloatAttr[Any]
    update_rule: StringAttr
    qk_l2_norm: IntegerAttr[Any]
    gate_lower_bound: FloatAttr[Any]
    gate_activation: StringAttr
    chunk_size: IntegerAttr[Any]
    beta_activation: StringAttr
    output: OpResult
    final_state: OpResult
    state_update: OpResult

class MicrosoftGatedDeltaNetStateReplayOp(OnnxOp):
    """State of GatedDeltaNet after some of its captured steps are kept."""
    source_backing: SSAValue
    capsule_backing: SSAValue
    destination_backing: SSAValue
    metadata: SSAValue
    destination_out: OpResult

class MicrosoftGatedRMSNormOp(OnnxOp):
    """Root-mean-square normalization times an activated gate."""
    X: SSAValue
    scale: SSAValue
    gate: SSAValue
    epsilon: FloatAttr[Any]
    activation: StringAttr
    Y: OpResult

class MicrosoftGatedRelativePositionBiasOp(OnnxOp):
    """Relative position bias, gated by the query."""
    query_layer: SSAValue
    query_bias: SSAValue
    rel_pos: SSAValue
    weight: SSAValue
    bias: SSAValue
    eco_a: SSAValue
    token_offset: SSAValue
    num_heads: IntegerAttr[Any]
    output: OpResult

class MicrosoftGatherBlockQuantizedOp(OnnxOp):
    """Gather from data quantized in blocks, giving real values."""
    data: SSAValue
    indices: SSAValue
    scales: SSAValue
    zero_points: SSAValue
    quantize_axis: IntegerAttr[Any]
    gather_axis: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    bits: IntegerAttr[Any]
    output: OpResult

class MicrosoftGatherNDOp(OnnxOp):
    """GatherND with indices that hold the trailing axes too."""
    data: SSAValue
    indices: SSAValue
    output: OpResult

class MicrosoftGatherPackedOp(OnnxOp):
    """Rows of a table whose weights are packed in blocks, dequantized."""
    data: SSAValue
    indices: SSAValue
    packed_type: IntegerAttr[Any]
    output_dtype: IntegerAttr[Any]
    K: IntegerAttr[Any]
    output: OpResult

class MicrosoftGeluOp(OnnxOp):
    """x * (1 + erf(x / sqrt(2))) / 2."""
    X: SSAValue
    Y: OpResult

class MicrosoftGemmFastGeluOp(OnnxOp):
    """FastGelu of a product and a bias."""
    X: SSAValue
    W: SSAValue
    bias: SSAValue
    Y: OpResult

class MicrosoftGemmFloat8Op(OnnxOp):
    """Gemm on float8 operands with scales, then an activation."""
    A: SSAValue
    B: SSAValue
    C: SSAValue
    scaleA: SSAValue
    scaleB: SSAValue
    scaleY: SSAValue
    transB: IntegerAttr[Any]
    dtype: IntegerAttr[Any]
    beta: FloatAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    activation: StringAttr | None
    Y: OpResult

class MicrosoftGemmaRotaryEmbeddingOp(OnnxOp):
    """Rotary embedding of query and key by angles given in float32."""
    emb: SSAValue
    q: SSAValue
    q_rot: SSAValue
    k: SSAValue
    k_rot: SSAValue
    output1: OpResult
    output2: OpResult

class MicrosoftGridSampleOp(OnnxOp):
    """Samples of an image at the points of a grid."""
    X: SSAValue
    Grid: SSAValue
    padding_mode: StringAttr
    mode: StringAttr
    align_corners: IntegerAttr[Any]
    Y: OpResult

class MicrosoftGroupNormOp(OnnxOp):
    """Normalization over groups of channels, then maybe SiLU."""
    X: SSAValue
    gamma: SSAValue
    beta: SSAValue
    epsilon: FloatAttr[Any]
    channels_last: IntegerAttr[Any]
    groups: IntegerAttr[Any]
    activation: IntegerAttr[Any]
    Y: OpResult

class MicrosoftGroupQueryAttentionOp(OnnxOp):
    """Causal attention with a cache in which several heads share keys and values."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    past_key: SSAValue
    past_value: SSAValue
    seqlens_k: SSAValue
    total_sequence_length: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    position_ids: SSAValue
    attention_bias: SSAValue
    head_sink: SSAValue
    k_scale: SSAValue
    v_scale: SSAValue
    q_norm_weight: SSAValue
    k_norm_weight: SSAValue
    query_seqlens: SSAValue
    softcap: FloatAttr[Any] | None
    smooth_softmax: IntegerAttr[Any]
    sliding_window_cache: IntegerAttr[Any]
    kv_num_heads: IntegerAttr[Any]
    do_rotary: IntegerAttr[Any] | None
    num_heads: IntegerAttr[Any]
    k_norm_epsilon: FloatAttr[Any] | None
    v_quant_type: StringAttr
    qk_norm_epsilon: FloatAttr[Any]
    causal: IntegerAttr[Any]
    k_quant_type: StringAttr
    kv_cache_bit_width: IntegerAttr[Any] | None
    qk_output: IntegerAttr[Any]
    rotary_interleaved: IntegerAttr[Any] | None
    local_window_size: IntegerAttr[Any]
    q_norm_epsilon: FloatAttr[Any] | None
    scale: FloatAttr[Any] | None
    output: OpResult
    present_key: OpResult
    present_value: OpResult
    output_qk: OpResult

class MicrosoftHyperConnectionLowRankMixOp(OnnxOp):
    """A block's input from several streams, mixed by gates of low rank."""
    streams: SSAValue
    norm_scale: SSAValue
    down_weight: SSAValue
    up_weight: SSAValue
    inject_weight: SSAValue
    prev_block_output: SSAValue
    prev_post_gate: SSAValue
    silu_alpha: FloatAttr[Any]
    reduction_scale: FloatAttr[Any]
    gate_mul: FloatAttr[Any]
    gate_div: FloatAttr[Any]
    epsilon: FloatAttr[Any]
    num_branches: IntegerAttr[Any]
    pre_output: OpResult
    post_gate: OpResult
    streams_out: OpResult

class MicrosoftHyperConnectionPostMixOp(OnnxOp):
    """Residual streams mixed with a layer's output."""
    streams: SSAValue
    block_output: SSAValue
    post_mix: SSAValue
    stream_mix: SSAValue
    num_branches: IntegerAttr[Any]
    output: OpResult

class MicrosoftHyperConnectionPreMixOp(OnnxOp):
    """Residual streams mixed into a layer's input."""
    streams: SSAValue
    pre_mix: SSAValue
    reduction_scale: FloatAttr[Any]
    num_branches: IntegerAttr[Any]
    output: OpResult

class MicrosoftInverseOp(OnnxOp):
    """Inverse of square matrices."""
    X: SSAValue
    Y: OpResult

class MicrosoftIrfftOp(OnnxOp):
    """Inverse of a real Fourier transform over the last axes."""
    X: SSAValue
    onesided: IntegerAttr[Any]
    normalized: IntegerAttr[Any]
    signal_ndim: IntegerAttr[Any]
    Y: OpResult

class MicrosoftIsAllFiniteOp(OnnxOp):
    """Whether no element of any input is infinite or nan."""
    input: Sequence[SSAValue]
    isnan_only: IntegerAttr[Any]
    isinf_only: IntegerAttr[Any]
    output: OpResult

class MicrosoftLinearAttentionOp(OnnxOp):
    """Attention as a recurrence over a state, with decay and delta rule."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    past_state: SSAValue
    decay: SSAValue
    beta: SSAValue
    update_rule: StringAttr
    chunk_size: IntegerAttr[Any]
    state_window: IntegerAttr[Any]
    scale: FloatAttr[Any]
    q_num_heads: IntegerAttr[Any]
    kv_num_heads: IntegerAttr[Any]
    output: OpResult
    present_state: OpResult

class MicrosoftLinearAttentionGateOp(OnnxOp):
    """Decay and beta of linear attention from projections."""
    a: SSAValue
    dt_bias: SSAValue
    decay_scale: SSAValue
    b: SSAValue
    decay: OpResult
    beta: OpResult

class MicrosoftLongformerAttentionOp(OnnxOp):
    """Sliding-window attention with some global positions."""
    input: SSAValue
    weight: SSAValue
    bias: SSAValue
    mask: SSAValue
    global_weight: SSAValue
    global_bias: SSAValue
    global_: SSAValue
    window: IntegerAttr[Any]
    num_heads: IntegerAttr[Any]
    output: OpResult

class MicrosoftMRotaryEmbeddingOp(OnnxOp):
    """Rotary embedding by several axes of positions."""
    input: SSAValue
    position_ids: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    rotary_embedding_dim: IntegerAttr[Any] | None
    num_heads: IntegerAttr[Any] | None
    scale: FloatAttr[Any] | None
    mrope_layout: IntegerAttr[Any] | None
    is_packed_batching: IntegerAttr[Any] | None
    interleaved: IntegerAttr[Any] | None
    mrope_section: DenseArrayBase[Any]
    output: OpResult

class MicrosoftMamba2VerifyOp(OnnxOp):
    """Mamba2's convolution, recurrence and normalization, with the state after each row."""
    projection: SSAValue
    conv_state: SSAValue
    ssm_state: SSAValue
    conv_weight: SSAValue
    conv_bias: SSAValue
    dt_bias: SSAValue
    A_negative: SSAValue
    D: SSAValue
    norm_weight: SSAValue
    state_row: SSAValue
    head_dim: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    time_step_min: FloatAttr[Any]
    d_state: IntegerAttr[Any]
    n_groups: IntegerAttr[Any]
    heads: IntegerAttr[Any]
    Y: OpResult
    conv_snapshots: OpResult
    ssm_snapshots: OpResult
    xbc: OpResult
    readout: OpResult

class MicrosoftMatMulBlockQuantizedFp4WeightOp(OnnxOp):
    """Product with a float4 matrix, scaled in blocks."""
    A: SSAValue
    B: SSAValue
    weight_scale: SSAValue
    weight_scale_2: SSAValue
    input_scale: SSAValue
    bias: SSAValue
    block_size: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMatMulBlockQuantizedFp8WeightOp(OnnxOp):
    """Product with a float8 matrix, scaled in blocks."""
    A: SSAValue
    B: SSAValue
    b_scale: SSAValue
    a_scale: SSAValue
    bias: SSAValue
    block_size: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMatMulBnb4Op(OnnxOp):
    """Product with a matrix of FP4 or NF4 in blocks."""
    A: SSAValue
    B: SSAValue
    absmax: SSAValue
    transB: IntegerAttr[Any]
    training_mode: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    quant_type: IntegerAttr[Any]
    N: IntegerAttr[Any]
    K: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMatMulFpQ4Op(OnnxOp):
    """Product with a matrix packed in 4 bits."""
    A: SSAValue
    B: SSAValue
    B_shape: SSAValue
    blk_quant_type: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMatMulInteger16Op(OnnxOp):
    """Product of int16 matrices in int32."""
    A: SSAValue
    B: SSAValue
    Y: OpResult

class MicrosoftMatMulIntegerToFloatOp(OnnxOp):
    """Product of 8-bit matrices, scaled to real values."""
    A: SSAValue
    B: SSAValue
    a_scale: SSAValue
    b_scale: SSAValue
    a_zero_point: SSAValue
    b_zero_point: SSAValue
    bias: SSAValue
    Y: OpResult

class MicrosoftMatMulNBitsOp(OnnxOp):
    """Product with a matrix quantized to a few bits in blocks."""
    A: SSAValue
    B: SSAValue
    scales: SSAValue
    zero_points: SSAValue
    g_idx: SSAValue
    bias: SSAValue
    weight_prepacked: IntegerAttr[Any]
    bits: IntegerAttr[Any]
    accuracy_level: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    N: IntegerAttr[Any]
    K: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMatMulNBitsMlpOp(OnnxOp):
    """Gate and up projections of few bits, combined by an activation."""
    A: SSAValue
    skip: SSAValue
    norm_scale: SSAValue
    gate_B: SSAValue
    gate_scales: SSAValue
    gate_bias: SSAValue
    up_B: SSAValue
    up_scales: SSAValue
    up_bias: SSAValue
    bits: IntegerAttr[Any]
    accuracy_level: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    activation: StringAttr
    N: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    K: IntegerAttr[Any]
    Y: OpResult
    input_skip_bias_sum: OpResult

class MicrosoftMatMulNBitsQLoRAOp(OnnxOp):
    """MatMulNBits plus a quantized adapter of low rank."""
    X: SSAValue
    W: SSAValue
    scales: SSAValue
    lora_A: SSAValue
    lora_A_scales: SSAValue
    lora_B: SSAValue
    lora_B_scales: SSAValue
    lora_bits: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    bits: IntegerAttr[Any]
    accuracy_level: IntegerAttr[Any]
    lora_block_size: IntegerAttr[Any]
    N: IntegerAttr[Any]
    K: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMatMulNBitsQkvOp(OnnxOp):
    """Query, key and value projections of few bits, after a normalization."""
    A: SSAValue
    skip: SSAValue
    norm_scale: SSAValue
    q_B: SSAValue
    q_scales: SSAValue
    q_bias: SSAValue
    k_B: SSAValue
    k_scales: SSAValue
    k_bias: SSAValue
    v_B: SSAValue
    v_scales: SSAValue
    v_bias: SSAValue
    bits: IntegerAttr[Any]
    accuracy_level: IntegerAttr[Any]
    block_size: IntegerAttr[Any]
    Nq: IntegerAttr[Any]
    Nkv: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    K: IntegerAttr[Any]
    Q: OpResult
    K_: OpResult
    V: OpResult
    input_skip_bias_sum: OpResult

class MicrosoftMatMulPackedOp(OnnxOp):
    """Product with the transpose of a matrix packed in blocks."""
    A: SSAValue
    B: SSAValue
    global_scale: SSAValue
    activation_type: StringAttr
    packed_type: IntegerAttr[Any]
    N: IntegerAttr[Any]
    K: IntegerAttr[Any]
    Y: OpResult

class MicrosoftMaxpoolWithMaskOp(OnnxOp):
    """MaxPool where a mask says which elements count."""
    X: SSAValue
    M: SSAValue
    strides: DenseArrayBase[Any] | None
    storage_order: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    Y: OpResult

class MicrosoftMoEOp(OnnxOp):
    """Mixture of experts: each row through its k best two-layer networks."""
    input: SSAValue
    router_probs: SSAValue
    fc1_experts_weights: SSAValue
    fc1_experts_bias: SSAValue
    fc2_experts_weights: SSAValue
    fc2_experts_bias: SSAValue
    fc3_experts_weights: SSAValue
    fc3_experts_bias: SSAValue
    use_sparse_mixer: IntegerAttr[Any]
    swiglu_fusion: IntegerAttr[Any]
    swiglu_limit: FloatAttr[Any] | None
    normalize_routing_weights: IntegerAttr[Any]
    k: IntegerAttr[Any]
    swiglu_limit_after_activation: IntegerAttr[Any]
    activation_type: StringAttr
    activation_beta: FloatAttr[Any]
    activation_alpha: FloatAttr[Any]
    output: OpResult

class MicrosoftMoEGroupRouterOp(OnnxOp):
    """Experts' scores by a sigmoid, from the best groups of experts alone."""
    logits: SSAValue
    expert_bias: SSAValue
    projection_weight: SSAValue
    topk_group: IntegerAttr[Any]
    router_sentinel: FloatAttr[Any]
    n_group: IntegerAttr[Any]
    group_topk: IntegerAttr[Any]
    top_k: IntegerAttr[Any]
    router_probs: OpResult
    selection_scores: OpResult
    router_weights: OpResult

class MicrosoftMoEPackedOp(OnnxOp):
    """MoE with experts packed in blocks."""
    input: SSAValue
    router_probs: SSAValue
    gate_experts_weights: SSAValue
    up_experts_weights: SSAValue
    down_experts_weights: SSAValue
    router_weights: SSAValue
    routing_epsilon: FloatAttr[Any]
    normalize_routing_weights: IntegerAttr[Any]
    k: IntegerAttr[Any]
    activation_type: StringAttr
    gate_type: IntegerAttr[Any]
    up_type: IntegerAttr[Any]
    routed_scaling_factor: FloatAttr[Any]
    down_type: IntegerAttr[Any]
    output: OpResult

class MicrosoftMulIntegerOp(OnnxOp):
    """Product of 8-bit integers without their zero points."""
    A: SSAValue
    A_zero_point: SSAValue
    B: SSAValue
    B_zero_point: SSAValue
    C: OpResult

class MicrosoftMultiHeadAttentionOp(OnnxOp):
    """Attention on projected Q, K and V, apart or packed, with a cache."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    bias: SSAValue
    key_padding_mask: SSAValue
    attention_bias: SSAValue
    past_key: SSAValue
    past_value: SSAValue
    past_sequence_length: SSAValue
    cache_indirection: SSAValue
    unidirectional: IntegerAttr[Any]
    scale: FloatAttr[Any] | None
    mask_filter_value: FloatAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult
    present_key: OpResult
    present_value: OpResult
    qk: OpResult

class MicrosoftMurmurHash3Op(OnnxOp):
    """32-bit MurmurHash3 of each element."""
    X: SSAValue
    seed: IntegerAttr[Any]
    positive: IntegerAttr[Any]
    Y: OpResult

class MicrosoftNGramHashMappingOp(OnnxOp):
    """Hashes of the n-grams that end at each token."""
    input_ids: SSAValue
    multipliers: SSAValue
    vocab_sizes: SSAValue
    past_ids: SSAValue
    head_offsets: SSAValue
    eos_token_id: SSAValue
    segment_ids: SSAValue
    reset_on_eos: IntegerAttr[Any]
    pad_id: IntegerAttr[Any]
    n_head_per_ngram: IntegerAttr[Any]
    max_ngram_size: IntegerAttr[Any]
    hash_ids: OpResult
    present_ids: OpResult

class MicrosoftNGramRepeatBlockOp(OnnxOp):
    """Scores with tokens forbidden that would repeat an n-gram."""
    input_ids: SSAValue
    scores: SSAValue
    ngram_size: IntegerAttr[Any]
    scores_out: OpResult

class MicrosoftNhwcConvOp(OnnxOp):
    """Conv with channels last."""
    X: SSAValue
    W: SSAValue
    B: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    Y: OpResult

class MicrosoftNhwcFusedConvOp(OnnxOp):
    """FusedConv with channels last."""
    X: SSAValue
    W: SSAValue
    B: SSAValue
    Z: SSAValue
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    pads: DenseArrayBase[Any] | None
    activation_params: DenseArrayBase[Any] | None
    activation: StringAttr | None
    Y: OpResult

class MicrosoftNhwcMaxPoolOp(OnnxOp):
    """MaxPool of 8-bit integers with channels last."""
    x: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    ceil_mode: IntegerAttr[Any]
    auto_pad: StringAttr
    kernel_shape: DenseArrayBase[Any]
    y: OpResult

class MicrosoftPackedAttentionOp(OnnxOp):
    """Attention on sequences without padding, one behind the other."""
    input: SSAValue
    weights: SSAValue
    bias: SSAValue
    token_offset: SSAValue
    cumulative_sequence_length: SSAValue
    attention_bias: SSAValue
    scale: FloatAttr[Any] | None
    qkv_hidden_sizes: DenseArrayBase[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult

class MicrosoftPackedMultiHeadAttentionOp(OnnxOp):
    """MultiHeadAttention on sequences without padding."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    bias: SSAValue
    token_offset: SSAValue
    cumulative_sequence_length: SSAValue
    attention_bias: SSAValue
    scale: FloatAttr[Any] | None
    mask_filter_value: FloatAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult

class MicrosoftPackedSparseAttentionIndexerOp(OnnxOp):
    """Blocks of keys for each query of packed sequences."""
    query: SSAValue
    key: SSAValue
    query_norm_weight: SSAValue
    key_norm_weight: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    cumulative_sequence_lengths: SSAValue
    past_sequence_lengths: SSAValue
    gate: SSAValue
    position_bias: SSAValue
    head_weights: SSAValue
    position_ids: SSAValue
    past_key_state: SSAValue
    past_kv_buffer: SSAValue
    past_gate_buffer: SSAValue
    past_state_lengths: SSAValue
    state_update_capture_count: SSAValue
    state_update_active: SSAValue
    indexshare_mode: SSAValue
    merged_indices: SSAValue
    merged_counts: SSAValue
    merged_status: SSAValue
    token_budget: IntegerAttr[Any] | None
    state_update_capacity: IntegerAttr[Any]
    scale: FloatAttr[Any] | None
    max_output_entries: IntegerAttr[Any]
    indexshare_state_policy: StringAttr
    index_topk: IntegerAttr[Any] | None
    head_weight_scale: FloatAttr[Any] | None
    epsilon: FloatAttr[Any]
    state_capacity: IntegerAttr[Any]
    policy_mode: StringAttr
    compress_ratio: IntegerAttr[Any]
    selected_indices: OpResult
    selected_counts: OpResult
    present_key_state: OpResult
    present_kv_buffer: OpResult
    present_gate_buffer: OpResult
    present_state_lengths: OpResult
    state_update: OpResult
    indexshare_status: OpResult
    state_status: OpResult

class MicrosoftPackedSparseAttentionIndexerMergeOp(OnnxOp):
    """Union of selected keys and a range or more of them, in order."""
    base_indices: SSAValue
    base_counts: SSAValue
    base_row_indices: SSAValue
    range_starts: SSAValue
    range_ends: SSAValue
    additional_indices: SSAValue
    additional_counts: SSAValue
    policy_mode: StringAttr
    max_output_entries: IntegerAttr[Any]
    selected_indices: OpResult
    selected_counts: OpResult
    status: OpResult

class MicrosoftPadOp(OnnxOp):
    """Pad of all axes by amounts given as an input."""
    data: SSAValue
    pads: SSAValue
    value: SSAValue
    mode: StringAttr
    output: OpResult

class MicrosoftPagedAttentionOp(OnnxOp):
    """GroupQueryAttention whose cache lies in pages."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    key_cache: SSAValue
    value_cache: SSAValue
    cumulative_sequence_length: SSAValue
    past_seqlens: SSAValue
    block_table: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    slot_mapping: SSAValue
    head_sink: SSAValue
    q_norm_weight: SSAValue
    k_norm_weight: SSAValue
    k_scale: SSAValue
    v_scale: SSAValue
    attention_metadata: SSAValue
    v_head_size: IntegerAttr[Any] | None
    v_cache_dtype: StringAttr
    kv_num_heads: IntegerAttr[Any]
    do_rotary: IntegerAttr[Any] | None
    k_cache_dtype: StringAttr
    num_heads: IntegerAttr[Any]
    v_quant_type: StringAttr
    qk_norm_epsilon: FloatAttr[Any] | None
    softcap: FloatAttr[Any] | None
    is_causal: IntegerAttr[Any]
    rotary_offset: IntegerAttr[Any] | None
    k_quant_type: StringAttr
    kv_cache_layout: StringAttr
    local_window_size: IntegerAttr[Any]
    rotary_interleaved: IntegerAttr[Any] | None
    scale: FloatAttr[Any] | None
    output: OpResult
    key_cache_out: OpResult
    value_cache_out: OpResult

class MicrosoftQAttentionOp(OnnxOp):
    """Attention with 8-bit input and weights."""
    input: SSAValue
    weight: SSAValue
    bias: SSAValue
    input_scale: SSAValue
    weight_scale: SSAValue
    mask_index: SSAValue
    input_zero_point: SSAValue
    weight_zero_point: SSAValue
    past: SSAValue
    unidirectional: IntegerAttr[Any]
    scale: FloatAttr[Any] | None
    past_present_share_buffer: IntegerAttr[Any] | None
    mask_filter_value: FloatAttr[Any] | None
    do_rotary: IntegerAttr[Any] | None
    num_heads: IntegerAttr[Any]
    output: OpResult
    present: OpResult

class MicrosoftQEmbedLayerNormalizationOp(OnnxOp):
    """EmbedLayerNormalization with 8-bit tables."""
    input_ids: SSAValue
    segment_ids: SSAValue
    word_embedding_quant: SSAValue
    position_embedding_quant: SSAValue
    segment_embedding: SSAValue
    gamma_quant: SSAValue
    beta_quant: SSAValue
    mask: SSAValue
    word_embedding_scale: SSAValue
    position_embedding_scale: SSAValue
    segment_embedding_scale: SSAValue
    gamma_scale: SSAValue
    beta_scale: SSAValue
    word_embedding_zero_point: SSAValue
    position_embedding_zero_point: SSAValue
    segment_embedding_zero_point: SSAValue
    gamma_zero_point: SSAValue
    beta_zero_point: SSAValue
    epsilon: FloatAttr[Any]
    layernorm_out: OpResult
    mask_index_out: OpResult

class MicrosoftQGemmOp(OnnxOp):
    """Gemm on 8-bit matrices, quantized or real result."""
    A: SSAValue
    a_scale: SSAValue
    a_zero_point: SSAValue
    B: SSAValue
    b_scale: SSAValue
    b_zero_point: SSAValue
    C: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    transB: IntegerAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftQLinearAddOp(OnnxOp):
    """Sum of quantized tensors, quantized."""
    A: SSAValue
    A_scale: SSAValue
    A_zero_point: SSAValue
    B: SSAValue
    B_scale: SSAValue
    B_zero_point: SSAValue
    C_scale: SSAValue
    C_zero_point: SSAValue
    C: OpResult

class MicrosoftQLinearAveragePoolOp(OnnxOp):
    """AveragePool of a quantized tensor, quantized."""
    X: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    count_include_pad: IntegerAttr[Any]
    channels_last: IntegerAttr[Any]
    ceil_mode: IntegerAttr[Any]
    auto_pad: StringAttr
    kernel_shape: DenseArrayBase[Any]
    Y: OpResult

class MicrosoftQLinearConcatOp(OnnxOp):
    """Concat of quantized tensors of several scales, quantized."""
    Y_scale: SSAValue
    Y_zero_point: SSAValue
    inputs: Sequence[SSAValue]
    axis: IntegerAttr[Any]
    Y: OpResult

class MicrosoftQLinearConvOp(OnnxOp):
    """Conv of quantized tensors, with channels first or last."""
    x: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    w: SSAValue
    w_scale: SSAValue
    w_zero_point: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    B: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    channels_last: IntegerAttr[Any]
    auto_pad: StringAttr
    y: OpResult

class MicrosoftQLinearGlobalAveragePoolOp(OnnxOp):
    """GlobalAveragePool of a quantized tensor, quantized."""
    X: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    channels_last: IntegerAttr[Any]
    Y: OpResult

class MicrosoftQLinearLeakyReluOp(OnnxOp):
    """LeakyRelu of a quantized tensor, quantized."""
    X: SSAValue
    X_scale: SSAValue
    X_zero_point: SSAValue
    Y_scale: SSAValue
    Y_zero_point: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftQLinearMulOp(OnnxOp):
    """Product of quantized tensors, quantized."""
    A: SSAValue
    A_scale: SSAValue
    A_zero_point: SSAValue
    B: SSAValue
    B_scale: SSAValue
    B_zero_point: SSAValue
    C_scale: SSAValue
    C_zero_point: SSAValue
    C: OpResult

class MicrosoftQLinearReduceMeanOp(OnnxOp):
    """Mean of a quantized tensor, quantized."""
    data: SSAValue
    data_scale: SSAValue
    data_zero_point: SSAValue
    reduced_scale: SSAValue
    reduced_zero_point: SSAValue
    keepdims: IntegerAttr[Any]
    axes: DenseArrayBase[Any]
    reduced: OpResult

class MicrosoftQLinearSigmoidOp(OnnxOp):
    """Sigmoid of a quantized tensor, quantized."""
    X: SSAValue
    X_scale: SSAValue
    X_zero_point: SSAValue
    Y_scale: SSAValue
    Y_zero_point: SSAValue
    Y: OpResult

class MicrosoftQLinearSoftmaxOp(OnnxOp):
    """Softmax of a quantized tensor, quantized."""
    X: SSAValue
    X_scale: SSAValue
    x_zero_point: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    axis: IntegerAttr[Any]
    opset: IntegerAttr[Any]
    Y: OpResult

class MicrosoftQLinearWhereOp(OnnxOp):
    """Where of quantized tensors, quantized."""
    condition: SSAValue
    X: SSAValue
    x_scale: SSAValue
    x_zero_point: SSAValue
    Y: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    z_scale: SSAValue
    z_zero_point: SSAValue
    Z: OpResult

class MicrosoftQMoEOp(OnnxOp):
    """MoE with experts quantized to a few bits."""
    input: SSAValue
    router_probs: SSAValue
    fc1_experts_weights: SSAValue
    fc1_scales: SSAValue
    fc1_experts_bias: SSAValue
    fc2_experts_weights: SSAValue
    fc2_scales: SSAValue
    fc2_experts_bias: SSAValue
    fc3_experts_weights: SSAValue
    fc3_scales: SSAValue
    fc3_experts_bias: SSAValue
    fc1_zero_points: SSAValue
    fc2_zero_points: SSAValue
    fc3_zero_points: SSAValue
    router_weights: SSAValue
    fc1_global_scale: SSAValue
    fc2_global_scale: SSAValue
    fc1_act_scale: SSAValue
    fc2_act_scale: SSAValue
    fc1_act_block_scale: SSAValue
    fc2_act_block_scale: SSAValue
    weights_prepacked: IntegerAttr[Any]
    swiglu_limit_after_activation: IntegerAttr[Any]
    accuracy_level: IntegerAttr[Any]
    fc2_expert_weight_bits: IntegerAttr[Any] | None
    activation_alpha: FloatAttr[Any]
    swiglu_limit: FloatAttr[Any] | None
    block_size: IntegerAttr[Any] | None
    use_sparse_mixer: IntegerAttr[Any]
    swiglu_fusion: IntegerAttr[Any]
    fc3_expert_weight_bits: IntegerAttr[Any] | None
    k: IntegerAttr[Any]
    activation_beta: FloatAttr[Any]
    expert_weight_bits: IntegerAttr[Any]
    normalize_routing_weights: IntegerAttr[Any]
    activation_type: StringAttr
    fc1_expert_weight_bits: IntegerAttr[Any] | None
    quant_type: StringAttr
    output: OpResult

class MicrosoftQOrderedAttentionOp(OnnxOp):
    """Attention on int8 data in an order of cuBLASLt."""
    input: SSAValue
    scale_input: SSAValue
    scale_Q_gemm: SSAValue
    scale_K_gemm: SSAValue
    scale_V_gemm: SSAValue
    Q_weight: SSAValue
    K_weight: SSAValue
    V_weight: SSAValue
    scale_Q_weight: SSAValue
    scale_K_weight: SSAValue
    scale_V_weight: SSAValue
    Q_bias: SSAValue
    K_bias: SSAValue
    V_bias: SSAValue
    scale_QKT_gemm: SSAValue
    scale_QKT_softmax: SSAValue
    scale_values_gemm: SSAValue
    mask_index: SSAValue
    past: SSAValue
    attention_bias: SSAValue
    unidirectional: IntegerAttr[Any]
    qkv_hidden_sizes: DenseArrayBase[Any] | None
    order_output: IntegerAttr[Any]
    order_weight: IntegerAttr[Any]
    order_input: IntegerAttr[Any]
    num_heads: IntegerAttr[Any]
    output: OpResult

class MicrosoftQOrderedGeluOp(OnnxOp):
    """Gelu on int8 data in an order of cuBLASLt."""
    X: SSAValue
    scale_X: SSAValue
    scale_Y: SSAValue
    order_Y: IntegerAttr[Any] | None
    order_X: IntegerAttr[Any] | None
    Y: OpResult

class MicrosoftQOrderedLayerNormalizationOp(OnnxOp):
    """LayerNormalization on int8 data in an order of cuBLASLt."""
    X: SSAValue
    scale_X: SSAValue
    scale: SSAValue
    B: SSAValue
    scale_Y: SSAValue
    order_Y: IntegerAttr[Any]
    order_X: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    axis: IntegerAttr[Any]
    Y: OpResult

class MicrosoftQOrderedLongformerAttentionOp(OnnxOp):
    """LongformerAttention on int8 data in an order of cuBLASLt."""
    input: SSAValue
    scale_input: SSAValue
    weight: SSAValue
    scale_weight: SSAValue
    bias: SSAValue
    scale_bias: SSAValue
    scale_qkv_gemm: SSAValue
    mask: SSAValue
    global_weight: SSAValue
    scale_global_weight: SSAValue
    global_bias: SSAValue
    scale_global_gemm: SSAValue
    global_: SSAValue
    scale_output: SSAValue
    window: IntegerAttr[Any]
    order_output: IntegerAttr[Any]
    order_weight: IntegerAttr[Any]
    order_input: IntegerAttr[Any]
    order_global_weight: IntegerAttr[Any]
    num_heads: IntegerAttr[Any]
    output: OpResult

class MicrosoftQOrderedMatMulOp(OnnxOp):
    """Product of int8 data in an order of cuBLASLt."""
    A: SSAValue
    scale_A: SSAValue
    B: SSAValue
    scale_B: SSAValue
    scale_Y: SSAValue
    bias: SSAValue
    C: SSAValue
    scale_C: SSAValue
    order_Y: IntegerAttr[Any]
    order_B: IntegerAttr[Any]
    order_A: IntegerAttr[Any]
    Y: OpResult

class MicrosoftQuantizeBFPOp(OnnxOp):
    """Block floating point of real values."""
    x: SSAValue
    block_dim: IntegerAttr[Any]
    bfp_type: IntegerAttr[Any]
    y: OpResult
    shape: OpResult
    strides: OpResult

class MicrosoftQuantizeLinearOp(OnnxOp):
    """saturate(round(x / scale) + zero_point), for 4, 8 and 16 bits."""
    x: SSAValue
    y_scale: SSAValue
    y_zero_point: SSAValue
    axis: IntegerAttr[Any] | None
    y: OpResult

class MicrosoftQuantizeWithOrderOp(OnnxOp):
    """int8 data in an order of cuBLASLt from real values."""
    input: SSAValue
    scale_input: SSAValue
    order_output: IntegerAttr[Any]
    order_input: IntegerAttr[Any]
    output: OpResult

class MicrosoftQuickGeluOp(OnnxOp):
    """x * sigmoid(alpha * x)."""
    X: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftRMSNormRotaryOp(OnnxOp):
    """Root-mean-square normalization of heads, then rotary embedding."""
    X: SSAValue
    scale: SSAValue
    position_ids: SSAValue
    cosine: SSAValue
    sine: SSAValue
    prefill_numerics: SSAValue
    output_fp16: IntegerAttr[Any]
    use_fp32_arithmetic: IntegerAttr[Any]
    input_width: IntegerAttr[Any]
    input_start: IntegerAttr[Any]
    flatten_batch: IntegerAttr[Any]
    epsilon: FloatAttr[Any]
    rotary_embedding_dim: IntegerAttr[Any]
    Y: OpResult
    normalized_fp32: OpResult

class MicrosoftRangeOp(OnnxOp):
    """Numbers from start to limit in steps of delta, by default one."""
    start: SSAValue
    limit: SSAValue
    delta: SSAValue
    Y: OpResult

class MicrosoftReduceSumIntegerOp(OnnxOp):
    """Sum of 8-bit integers in 32 bits."""
    data: SSAValue
    keepdims: IntegerAttr[Any]
    axes: DenseArrayBase[Any]
    reduced: OpResult

class MicrosoftRelativePositionBiasOp(OnnxOp):
    """Bias of attention scores by buckets of relative positions."""
    bias_table: SSAValue
    query_length: SSAValue
    key_length: SSAValue
    is_bidirectional: IntegerAttr[Any]
    max_distance: IntegerAttr[Any]
    output: OpResult

class MicrosoftRemovePaddingOp(OnnxOp):
    """Tokens without padding, one sequence behind the other."""
    input: SSAValue
    sequence_token_count: SSAValue
    output: OpResult
    token_offset: OpResult
    cumulated_seq_len: OpResult
    max_seq_len: OpResult

class MicrosoftRestorePaddingOp(OnnxOp):
    """Tokens with padding, from sequences one behind the other."""
    input: SSAValue
    token_offset: SSAValue
    output: OpResult

class MicrosoftRfftOp(OnnxOp):
    """Real Fourier transform over the last axes, as pairs."""
    X: SSAValue
    signal_ndim: IntegerAttr[Any]
    onesided: IntegerAttr[Any]
    normalized: IntegerAttr[Any]
    Y: OpResult

class MicrosoftRotaryEmbeddingOp(OnnxOp):
    """Rotary position embedding from cached cosines and sines."""
    input: SSAValue
    position_ids: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    rotary_embedding_dim: IntegerAttr[Any] | None
    num_heads: IntegerAttr[Any] | None
    scale: FloatAttr[Any] | None
    is_packed_batching: IntegerAttr[Any] | None
    interleaved: IntegerAttr[Any] | None
    output: OpResult

class MicrosoftRouterGateUpProjOp(OnnxOp):
    """One product that gives a router's logits and a gated activation."""
    X: SSAValue
    W: SSAValue
    limit: FloatAttr[Any]
    activation_beta: FloatAttr[Any]
    activation_alpha: FloatAttr[Any]
    activation: StringAttr
    router_size: IntegerAttr[Any]
    router: OpResult
    activated: OpResult

class MicrosoftScaledSiLUOp(OnnxOp):
    """SiLU times a scale."""
    X: SSAValue
    scale: SSAValue
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftSkipGroupNormOp(OnnxOp):
    """GroupNorm of an input plus skip and bias."""
    X: SSAValue
    gamma: SSAValue
    beta: SSAValue
    skip: SSAValue
    bias: SSAValue
    epsilon: FloatAttr[Any]
    channels_last: IntegerAttr[Any]
    groups: IntegerAttr[Any]
    activation: IntegerAttr[Any]
    Y: OpResult
    S: OpResult

class MicrosoftSkipLayerNormalizationOp(OnnxOp):
    """LayerNormalization of an input plus skip and bias."""
    input: SSAValue
    skip: SSAValue
    gamma: SSAValue
    beta: SSAValue
    bias: SSAValue
    epsilon: FloatAttr[Any]
    output: OpResult
    mean: OpResult
    inv_std_var: OpResult
    input_skip_bias_sum: OpResult

class MicrosoftSkipSimplifiedLayerNormalizationOp(OnnxOp):
    """Root-mean-square normalization of an input plus skip and bias."""
    input: SSAValue
    skip: SSAValue
    gamma: SSAValue
    bias: SSAValue
    epsilon: FloatAttr[Any]
    output: OpResult
    mean: OpResult
    inv_std_var: OpResult
    input_skip_bias_sum: OpResult

class MicrosoftSparseAttentionOp(OnnxOp):
    """GroupQueryAttention with a block-sparse mask."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    past_key: SSAValue
    past_value: SSAValue
    block_row_indices: SSAValue
    block_col_indices: SSAValue
    total_sequence_length: SSAValue
    key_total_sequence_lengths: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    scale: FloatAttr[Any] | None
    rotary_interleaved: IntegerAttr[Any] | None
    sparse_block_size: IntegerAttr[Any]
    num_heads: IntegerAttr[Any]
    do_rotary: IntegerAttr[Any] | None
    kv_num_heads: IntegerAttr[Any]
    output: OpResult
    present_key: OpResult
    present_value: OpResult

class MicrosoftSparseAttentionIndexerOp(OnnxOp):
    """Blocks of keys for each query."""
    query: SSAValue
    key: SSAValue
    query_norm_weight: SSAValue
    key_norm_weight: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    mask: SSAValue
    past_key: SSAValue
    gate: SSAValue
    position_bias: SSAValue
    head_weights: SSAValue
    position_ids: SSAValue
    past_sequence_length: SSAValue
    past_proj_buffer: SSAValue
    token_budget: IntegerAttr[Any] | None
    scale: FloatAttr[Any] | None
    index_topk: IntegerAttr[Any] | None
    head_weight_scale: FloatAttr[Any] | None
    epsilon: FloatAttr[Any]
    policy_mode: StringAttr
    compress_ratio: IntegerAttr[Any]
    selected_indices: OpResult
    present_key: OpResult
    present_proj_buffer: OpResult

class MicrosoftSparsePagedAttentionOp(OnnxOp):
    """PagedAttention to the blocks that an indexer selected."""
    query: SSAValue
    key: SSAValue
    value: SSAValue
    key_cache: SSAValue
    value_cache: SSAValue
    cumulative_sequence_length: SSAValue
    past_seqlens: SSAValue
    block_table: SSAValue
    slot_mapping: SSAValue
    selected_indices: SSAValue
    selected_counts: SSAValue
    auxiliary_key: SSAValue
    auxiliary_value: SSAValue
    auxiliary_lengths: SSAValue
    cos_cache: SSAValue
    sin_cache: SSAValue
    head_sink: SSAValue
    q_norm_weight: SSAValue
    k_norm_weight: SSAValue
    k_scale: SSAValue
    v_scale: SSAValue
    attention_metadata: SSAValue
    softcap: FloatAttr[Any] | None
    kv_num_heads: IntegerAttr[Any]
    auxiliary_kv_shared: IntegerAttr[Any]
    do_rotary: IntegerAttr[Any]
    num_heads: IntegerAttr[Any]
    v_quant_type: StringAttr
    qk_norm_epsilon: FloatAttr[Any]
    attention_mode: StringAttr
    auxiliary_cache_layout: StringAttr
    k_quant_type: StringAttr
    selected_kv_source: StringAttr
    is_causal: IntegerAttr[Any]
    rotary_offset: IntegerAttr[Any]
    local_window_size: IntegerAttr[Any]
    rotary_interleaved: IntegerAttr[Any]
    scale: FloatAttr[Any] | None
    output: OpResult
    key_cache_out: OpResult
    value_cache_out: OpResult

class MicrosoftSparseToDenseMatMulOp(OnnxOp):
    """Product of a sparse and a dense matrix."""
    A: SSAValue
    B: SSAValue
    transB: IntegerAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftSpeculativePrefixCommitOp(OnnxOp):
    """Takes over the draft's tokens that the verifier accepted."""
    next_tokens: SSAValue
    input_ids: SSAValue
    status: SSAValue
    ctl: SSAValue
    ctx_commit: SSAValue
    prefixes: SSAValue
    ptrs: SSAValue
    head_rows: IntegerAttr[Any]
    head_c: OpResult
    updated_ctl: OpResult
    updated_ctx_commit: OpResult

class MicrosoftSwiGLUOp(OnnxOp):
    """Gated activation: gate * sigmoid(alpha * gate) * (up + beta), clamped."""
    gate: SSAValue
    up: SSAValue
    round_activation: IntegerAttr[Any]
    limit: FloatAttr[Any]
    activation_beta: FloatAttr[Any]
    activation_alpha: FloatAttr[Any]
    output: OpResult

class MicrosoftTokenizerOp(OnnxOp):
    """Strings split into tokens."""
    X: SSAValue
    tokenexp: StringAttr | None
    separators: ArrayAttr[StringAttr] | None
    pad_value: StringAttr
    mincharnum: IntegerAttr[Any]
    mark: IntegerAttr[Any]
    Y: OpResult

class MicrosoftTorchEmbeddingOp(OnnxOp):
    """Rows of a table, the padding row as it is."""
    weight: SSAValue
    indices: SSAValue
    padding_idx: SSAValue
    scale_grad_by_freq: SSAValue
    Y: OpResult

class MicrosoftTransposeMatMulOp(OnnxOp):
    """FusedMatMul under its former name."""
    A: SSAValue
    B: SSAValue
    transB: IntegerAttr[Any]
    transA: IntegerAttr[Any]
    alpha: FloatAttr[Any]
    Y: OpResult

class MicrosoftTriluOp(OnnxOp):
    """Upper or lower triangle of matrices."""
    X: SSAValue
    k: SSAValue
    upper: IntegerAttr[Any]
    Y: OpResult

class MicrosoftUnfoldTensorOp(OnnxOp):
    """Sliding windows along an axis, as a new last axis."""
    input: SSAValue
    step: IntegerAttr[Any]
    dim: IntegerAttr[Any]
    size: IntegerAttr[Any]
    output: OpResult

class MicrosoftUniqueOp(OnnxOp):
    """Unique elements in the order of their first occurrence."""
    x: SSAValue
    y: OpResult
    idx: OpResult
    counts: OpResult

class MicrosoftVarlenCausalConvWithStateOp(OnnxOp):
    """CausalConvWithState on sequences one behind the other."""
    input: SSAValue
    weight: SSAValue
    cumulative_sequence_length: SSAValue
    bias: SSAValue
    initial_state: SSAValue
    capture_count: SSAValue
    kernel_delta: SSAValue
    previous_mask: SSAValue
    state_update_capacity: IntegerAttr[Any]
    group_size: IntegerAttr[Any]
    dilation: IntegerAttr[Any]
    delta_offset: IntegerAttr[Any]
    activation: StringAttr
    output: OpResult
    final_state: OpResult
    state_update: OpResult

class MicrosoftVarlenNGramHashMappingOp(OnnxOp):
    """NGramHashMapping on sequences one behind the other."""
    input_ids: SSAValue
    multipliers: SSAValue
    vocab_sizes: SSAValue
    cumulative_sequence_length: SSAValue
    past_ids: SSAValue
    head_offsets: SSAValue
    eos_token_id: SSAValue
    segment_ids: SSAValue
    past_segment_ids: SSAValue
    capture_count: SSAValue
    reset_on_eos: IntegerAttr[Any]
    state_update_capacity: IntegerAttr[Any]
    pad_id: IntegerAttr[Any]
    n_head_per_ngram: IntegerAttr[Any]
    max_ngram_size: IntegerAttr[Any]
    hash_ids: OpResult
    present_ids: OpResult
    present_segment_ids: OpResult
    state_update: OpResult

class MicrosoftWordConvEmbeddingOp(OnnxOp):
    """Embeddings of words by a convolution over their characters."""
    Sequence: SSAValue
    W: SSAValue
    B: SSAValue
    C: SSAValue
    embedding_size: IntegerAttr[Any] | None
    conv_window_size: IntegerAttr[Any] | None
    char_embedding_size: IntegerAttr[Any] | None
    Y: OpResult

class MicrosoftNchwcAveragePoolOp(OnnxOp):
    """AveragePool on channels in blocks."""
    X: SSAValue
    strides: DenseArrayBase[Any] | None
    pads: DenseArrayBase[Any] | None
    count_include_pad: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    ceil_mode: IntegerAttr[Any]
    auto_pad: StringAttr
    kernel_shape: DenseArrayBase[Any]
    Y: OpResult

class MicrosoftNchwcConvOp(OnnxOp):
    """FusedConv on channels in blocks."""
    X: SSAValue
    W: SSAValue
    B: SSAValue
    Sum: SSAValue
    strides: DenseArrayBase[Any] | None
    kernel_shape: DenseArrayBase[Any] | None
    group: IntegerAttr[Any]
    dilations: DenseArrayBase[Any] | None
    auto_pad: StringAttr
    pads: DenseArrayBase[Any] | None
    activation_params: DenseArrayBase[Any] | None
    activation: StringAttr | None
    Y: OpResult

class MicrosoftNchwcGlobalAveragePoolOp(OnnxOp):
    """GlobalAveragePool on channels in blocks."""
    X: SSAValue
    Y: OpResult

class MicrosoftNchwcGlobalMaxPoolOp(OnnxOp):
    """GlobalMaxPool on channels in blocks."""
    X: SSAValue
    Y: OpResult

class MicrosoftNchwcMaxPoolOp(OnnxOp):
    """MaxPool on channels in blocks."""
    X: SSAValue
    strides: DenseArrayBase[Any] | None
    storage_order: IntegerAttr[Any]
    pads: DenseArrayBase[Any] | None
    dilations: DenseArrayBase[Any] | None
    ceil_mode: IntegerAttr[Any]
    auto_pad: StringAttr
    kernel_shape: DenseArrayBase[Any]
    Y: OpResult

class MicrosoftNchwcReorderInputOp(OnnxOp):
    """Channels brought into blocks."""
    X: SSAValue
    channels_last: IntegerAttr[Any]
    Y: OpResult

class MicrosoftNchwcReorderOutputOp(OnnxOp):
    """Channels brought back out of blocks."""
    X: SSAValue
    channels_last: IntegerAttr[Any]
    channels: IntegerAttr[Any]
    Y: OpResult

class MicrosoftNchwcUpsampleOp(OnnxOp):
    """Nearest or linear upsampling on channels in blocks."""
    X: SSAValue
    scales: DenseArrayBase[Any] | None
    mode: StringAttr
    coordinate_transformation_mode: StringAttr
    Y: OpResult

Onnx: Dialect
OnnxMl: Dialect
OnnxPreview: Dialect
OnnxTraining: Dialect
Microsoft: Dialect
MicrosoftNchwc: Dialect
OPS: dict[str, type[OnnxOp]]
DIALECTS: tuple[Dialect, ...]
