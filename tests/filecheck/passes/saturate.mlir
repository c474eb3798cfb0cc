// RUN: sardonyx opt %s -p saturate | filecheck %s

// The order of products that makes the smaller one first.
// CHECK-LABEL: @chain
// CHECK-NEXT: [[P:%.+]] = onnx.MatMul(%a, %b) : {{.+}} -> tensor<1x64xf32>
// CHECK-NEXT: [[Y:%.+]] = onnx.MatMul([[P]], %c)
// CHECK-NEXT: func.return [[Y]] : tensor<1x64xf32>
func.func @chain(%a: tensor<1x64xf32>, %b: tensor<64x64xf32>, %c: tensor<64x64xf32>) -> tensor<1x64xf32> {
  %p = onnx.MatMul(%b, %c) : (tensor<64x64xf32>, tensor<64x64xf32>) -> tensor<64x64xf32>
  %y = onnx.MatMul(%a, %p) : (tensor<1x64xf32>, tensor<64x64xf32>) -> tensor<1x64xf32>
  func.return %y : tensor<1x64xf32>
}

// A factor, behind a sum with nothing.
// CHECK-LABEL: @factor
// CHECK: [[S:%.+]] = onnx.Add({{%b, %c|%c, %b}})
// CHECK-NEXT: [[Y:%.+]] = onnx.Mul(%a, [[S]])
// CHECK-NEXT: func.return [[Y]]
func.func @factor(%a: tensor<4xf32>, %b: tensor<4xf32>, %c: tensor<4xf32>) -> tensor<4xf32> {
  %zero = onnx.Constant dense<[0.0]> : tensor<1xf32>
  %p = onnx.Mul(%a, %b) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %q = onnx.Mul(%c, %a) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %r = onnx.Add(%q, %zero) : (tensor<4xf32>, tensor<1xf32>) -> tensor<4xf32>
  %y = onnx.Add(%p, %r) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// Pixels are averaged before they become 16 channels, not behind.
// CHECK-LABEL: @pools
// CHECK: [[P:%.+]] = onnx.AveragePool(%x)
// CHECK-NEXT: [[Q:%.+]] = onnx.AveragePool([[P]])
// CHECK-NEXT: [[C:%.+]] = onnx.Conv([[Q]], %w,
// CHECK-NEXT: [[Y:%.+]] = onnx.Conv([[C]], %v,
// CHECK-NEXT: func.return [[Y]]
func.func @pools(%x: tensor<1x4x32x32xf32>, %w: tensor<16x4x1x1xf32>, %v: tensor<4x16x1x1xf32>) -> tensor<1x4x15x15xf32> {
  %none = onnx.none : none
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x4x32x32xf32>, tensor<16x4x1x1xf32>, none) -> tensor<1x16x32x32xf32>
  %p = onnx.AveragePool(%c) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x16x32x32xf32>) -> tensor<1x16x16x16xf32>
  %q = onnx.AveragePool(%p) {kernel_shape = array<i64: 2, 2>} : (tensor<1x16x16x16xf32>) -> tensor<1x16x15x15xf32>
  %y = onnx.Conv(%q, %v, %none) : (tensor<1x16x15x15xf32>, tensor<4x16x1x1xf32>, none) -> tensor<1x4x15x15xf32>
  func.return %y : tensor<1x4x15x15xf32>
}

// Nothing is cheaper: the text stays as it is.
// CHECK-LABEL: @settled
// CHECK-NEXT: %first = onnx.Exp(%x)
// CHECK-NEXT: %second = onnx.Add(%first, %x)
// CHECK-NEXT: func.return %second
func.func @settled(%x: tensor<4xf32>) -> tensor<4xf32> {
  %first = onnx.Exp(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %second = onnx.Add(%first, %x) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %second : tensor<4xf32>
}

// Refused: the sum is larger than x.
// CHECK-LABEL: @stretched
// CHECK: onnx.Add
func.func @stretched(%x: tensor<3xf32>) -> tensor<2x3xf32> {
  %zero = onnx.Constant dense<[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]> : tensor<2x3xf32>
  %a = onnx.Add(%x, %zero) : (tensor<3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %a : tensor<2x3xf32>
}
