// RUN: sardonyx opt %s -p 'split-quant{bits=2 clusters=1},dce' | filecheck %s

// CHECK-LABEL: @product
// CHECK: [[T:%.*]] = onnx.Constant dense<[-3.0, -1.0, 1.0, 3.0]> : tensor<4xf32>
// Four codes to a byte: 0 + 3 * 4 + 2 * 16.
// CHECK: onnx.Constant dense<[44]> : tensor<1x1xui8>
// CHECK: onnx.BitShift(
// CHECK: [[P:%.*]] = onnx.Cast(
// CHECK: [[W:%.*]] = onnx.Gather([[T]], [[P]])
// CHECK: onnx.MatMul(%x, [[W]])
func.func @product(%x: tensor<3x3xf32>) -> tensor<3x1xf32> {
  %w = onnx.Constant dense<[-3.0, 3.0, 0.9]> : tensor<3x1xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x3xf32>, tensor<3x1xf32>) -> tensor<3x1xf32>
  func.return %y : tensor<3x1xf32>
}
