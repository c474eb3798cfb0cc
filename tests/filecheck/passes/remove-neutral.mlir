// RUN: sardonyx opt %s -p remove-neutral,dce | filecheck %s

// CHECK-LABEL: @zero
// CHECK: %y = onnx.Abs(%x)
func.func @zero(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %z = onnx.Constant dense<[0.0]> : tensor<1xf32>
  %a = onnx.Add(%z, %x) : (tensor<1xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  %y = onnx.Abs(%a) : (tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// Refused: the sum has more elements.
// CHECK-LABEL: @broadcast
// CHECK: onnx.Add
func.func @broadcast(%x: tensor<1xf32>) -> tensor<2xf32> {
  %z = onnx.Constant dense<[0.0, 0.0]> : tensor<2xf32>
  %a = onnx.Add(%x, %z) : (tensor<1xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %a : tensor<2xf32>
}
