// RUN: sardonyx opt %s -p fuse-softmax,dce | filecheck %s

// CHECK-LABEL: @softmax
// CHECK: %y = onnx.Softmax(%x) {axis = -1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
// CHECK-NEXT: func.return %y
func.func @softmax(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %axes = onnx.Constant dense<[1]> : tensor<1xi64>
  %p = onnx.ReduceMax(%x, %axes) : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<2x1xf32>
  %d = onnx.Sub(%x, %p) : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  %e = onnx.Exp(%d) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %s = onnx.ReduceSum(%e, %axes) : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<2x1xf32>
  %y = onnx.Div(%e, %s) : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// Refused: another value is divided by the sum.
// CHECK-LABEL: @another
// CHECK-NOT: onnx.Softmax
func.func @another(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %axes = onnx.Constant dense<[1]> : tensor<1xi64>
  %e = onnx.Exp(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %s = onnx.ReduceSum(%e, %axes) : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<2x1xf32>
  %y = onnx.Div(%x, %s) : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
