// RUN: sardonyx opt %s -p assign-layout,cse | filecheck %s

// Transposes are left where the image comes in and where it leaves.
// CHECK-LABEL: @chain
// CHECK: onnx.Constant dense<[1.0, 3.0, 2.0, 4.0]> : tensor<1x1x2x2xf32>
// CHECK: onnx.Transpose(%x) {perm = array<i64: 0, 2, 3, 1>} : (tensor<1x2x4x6xf32>) -> tensor<1x4x6x2xf32>
// CHECK-NEXT: nhwc.Conv({{.*}}) {strides = array<i64: 2, 2>} : (tensor<1x4x6x2xf32>, tensor<1x1x2x2xf32>, none) -> tensor<1x2x3x2xf32>
// CHECK-NOT: onnx.Transpose
// CHECK: onnx.Relu
// CHECK-NEXT: nhwc.MaxPool({{.*}}) {kernel_shape = array<i64: 2, 2>} : (tensor<1x2x3x2xf32>) -> tensor<1x1x2x2xf32>
// CHECK-NEXT: %y = onnx.Transpose({{.*}}) {perm = array<i64: 0, 3, 1, 2>} : (tensor<1x1x2x2xf32>) -> tensor<1x2x1x2xf32>
// CHECK-NEXT: func.return %y
func.func @chain(%x: tensor<1x2x4x6xf32>) -> tensor<1x2x1x2xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<2x2x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) {strides = array<i64: 2, 2>} : (tensor<1x2x4x6xf32>, tensor<2x2x1x1xf32>, none) -> tensor<1x2x2x3xf32>
  %r = onnx.Relu(%c) : (tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  %y, %i = onnx.MaxPool(%r) {kernel_shape = array<i64: 2, 2>} : (tensor<1x2x2x3xf32>) -> (tensor<1x2x1x2xf32>, none)
  func.return %y : tensor<1x2x1x2xf32>
}

// Refused: the weight is computed.
// CHECK-LABEL: @computed
// CHECK-NOT: onnx.Transpose
// CHECK: onnx.Conv
func.func @computed(%x: tensor<1x2x4x6xf32>, %w: tensor<2x2x1x1xf32>) -> tensor<1x2x4x6xf32> {
  %none = onnx.none : none
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x2x4x6xf32>, tensor<2x2x1x1xf32>, none) -> tensor<1x2x4x6xf32>
  func.return %c : tensor<1x2x4x6xf32>
}

// A matrix is packed.
// CHECK-LABEL: @matrix
// CHECK: onnx.Constant dense<[1.0, 3.0, 2.0, 4.0]> : tensor<2x2xf32>
// CHECK-NEXT: onnx.Gemm({{.*}}) : (tensor<1x2xf32>, tensor<2x2xf32>, none) -> tensor<1x2xf32>
func.func @matrix(%x: tensor<1x2xf32>) -> tensor<1x2xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<2x2xf32>
  %y = onnx.Gemm(%x, %w, %none) {transB = 1 : i64} : (tensor<1x2xf32>, tensor<2x2xf32>, none) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}
