// RUN: sardonyx opt %s -p simplify-transposes,dce | filecheck %s

// CHECK-LABEL: @sinks
// CHECK-NEXT: onnx.Relu(%x)
// CHECK-NEXT: func.return
func.func @sinks(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %a = onnx.Transpose(%x) {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %b = onnx.Relu(%a) : (tensor<3x2xf32>) -> tensor<3x2xf32>
  %y = onnx.Transpose(%b) : (tensor<3x2xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}

// Refused: nothing below undoes it.
// CHECK-LABEL: @stays
// CHECK-NEXT: %a = onnx.Transpose(%x)
// CHECK-NEXT: onnx.Relu(%a)
func.func @stays(%x: tensor<2x3xf32>) -> tensor<3x2xf32> {
  %a = onnx.Transpose(%x) {perm = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %b = onnx.Relu(%a) : (tensor<3x2xf32>) -> tensor<3x2xf32>
  func.return %b : tensor<3x2xf32>
}
