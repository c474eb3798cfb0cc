// RUN: sardonyx opt %s -p infer-types | filecheck %s

// What the operands have by now.
// CHECK-LABEL: @known
// CHECK: onnx.Relu(%x) : (tensor<4xf32>) -> tensor<4xf32>
func.func @known(%x: tensor<4xf32>) -> tensor<?xf32> {
  %y = onnx.Relu(%x) : (tensor<4xf32>) -> tensor<?xf32>
  func.return %y : tensor<?xf32>
}

// Refused by onnx's inference, which wants scalars: its type stays.
// CHECK-LABEL: @odd
// CHECK: onnx.Range(%a, %b, %a) : (tensor<i64>, tensor<1xi64>, tensor<i64>) -> tensor<?xi64>
func.func @odd(%a: tensor<i64>, %b: tensor<1xi64>) -> tensor<?xi64> {
  %y = onnx.Range(%a, %b, %a) : (tensor<i64>, tensor<1xi64>, tensor<i64>) -> tensor<?xi64>
  func.return %y : tensor<?xi64>
}
