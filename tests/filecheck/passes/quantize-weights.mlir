// RUN: sardonyx opt %s -p 'quantize-weights{bits=4 group=16 symmetric=true},dce' | filecheck %s

// The codes of -7, 7 beside 8, the middle: 1 and 15 in one byte, low nibble first.
// CHECK-LABEL: @product
// CHECK: %w = onnx.Constant dense<[241, 0, 0, 0, 0, 0, 0, 0]> : tensor<1x1x8xui8>
// CHECK: microsoft.MatMulNBits(%x, %w
// CHECK-SAME: K = 2 : i64
// CHECK-SAME: block_size = 16 : i64
func.func @product(%x: tensor<3x2xf32>) -> tensor<3x1xf32> {
  %w = onnx.Constant dense<[-7.0, 7.0]> : tensor<2x1xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x2xf32>, tensor<2x1xf32>) -> tensor<3x1xf32>
  func.return %y : tensor<3x1xf32>
}
