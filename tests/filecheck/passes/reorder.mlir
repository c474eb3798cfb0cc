// RUN: sardonyx opt %s -p reorder | filecheck %s

// The narrow branch is finished before the wide one begins.
// CHECK-LABEL: @branches
// CHECK-NEXT: %a = onnx.Exp(%x)
// CHECK-NEXT: %axes = onnx.Constant
// CHECK-NEXT: %c = onnx.ReduceSum(%a, %axes)
// CHECK-NEXT: %b = onnx.Abs(%x)
// CHECK-NEXT: %d = onnx.ReduceSum(%b, %axes)
// CHECK-NEXT: %e = onnx.Add(%c, %d)
func.func @branches(%x: tensor<4x64xf32>) -> tensor<1x1xf32> {
  %a = onnx.Exp(%x) : (tensor<4x64xf32>) -> tensor<4x64xf32>
  %b = onnx.Abs(%x) : (tensor<4x64xf32>) -> tensor<4x64xf32>
  %axes = onnx.Constant dense<[0, 1]> : tensor<2xi64>
  %c = onnx.ReduceSum(%a, %axes) : (tensor<4x64xf32>, tensor<2xi64>) -> tensor<1x1xf32>
  %d = onnx.ReduceSum(%b, %axes) : (tensor<4x64xf32>, tensor<2xi64>) -> tensor<1x1xf32>
  %e = onnx.Add(%c, %d) : (tensor<1x1xf32>, tensor<1x1xf32>) -> tensor<1x1xf32>
  func.return %e : tensor<1x1xf32>
}

// Refused: this order is as good as any.
// CHECK-LABEL: @chain
// CHECK-NEXT: onnx.Exp
// CHECK-NEXT: onnx.Abs
func.func @chain(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  %a = onnx.Exp(%x) : (tensor<4xf32>) -> tensor<4xf32>
  %b = onnx.Abs(%x) : (tensor<4xf32>) -> tensor<4xf32>
  func.return %a, %b : tensor<4xf32>, tensor<4xf32>
}
