// RUN: sardonyx opt %s -p fuse-gemm,dce | filecheck %s

// CHECK-LABEL: @biased
// CHECK-NEXT: %y = onnx.Gemm(%x, %w, %b)
func.func @biased(%x: tensor<?x2xf32>, %w: tensor<2x3xf32>, %b: tensor<3xf32>) -> tensor<?x3xf32> {
  %c = onnx.MatMul(%x, %w) : (tensor<?x2xf32>, tensor<2x3xf32>) -> tensor<?x3xf32>
  %y = onnx.Add(%b, %c) : (tensor<3xf32>, tensor<?x3xf32>) -> tensor<?x3xf32>
  func.return %y : tensor<?x3xf32>
}

// Refused: a stack of matrices.
// CHECK-LABEL: @stack
// CHECK: onnx.MatMul
func.func @stack(%x: tensor<4x5x2xf32>, %w: tensor<2x3xf32>, %b: tensor<3xf32>) -> tensor<4x5x3xf32> {
  %c = onnx.MatMul(%x, %w) : (tensor<4x5x2xf32>, tensor<2x3xf32>) -> tensor<4x5x3xf32>
  %y = onnx.Add(%c, %b) : (tensor<4x5x3xf32>, tensor<3xf32>) -> tensor<4x5x3xf32>
  func.return %y : tensor<4x5x3xf32>
}
