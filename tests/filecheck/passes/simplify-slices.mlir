// RUN: sardonyx opt %s -p simplify-slices,dce | filecheck %s

// CHECK-LABEL: @split
// CHECK: %[[sizes:.*]] = onnx.Constant dense<[1, 3]> : tensor<2xi64>
// CHECK-NEXT: %a, %b = onnx.Split(%x, %[[sizes]]) {axis = 1 : i64}
// CHECK-NOT: onnx.Slice
func.func @split(%x: tensor<2x4xf32>) -> (tensor<2x1xf32>, tensor<2x3xf32>) {
  %zero = onnx.Constant dense<[0]> : tensor<1xi64>
  %one = onnx.Constant dense<[1]> : tensor<1xi64>
  %four = onnx.Constant dense<[4]> : tensor<1xi64>
  %none = onnx.none : none
  %a = onnx.Slice(%x, %zero, %one, %one, %none) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<2x1xf32>
  %b = onnx.Slice(%x, %one, %four, %one, %none) : (tensor<2x4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<2x3xf32>
  func.return %a, %b : tensor<2x1xf32>, tensor<2x3xf32>
}

// Refused: the slices overlap.
// CHECK-LABEL: @overlap
// CHECK-NOT: onnx.Split
func.func @overlap(%x: tensor<4xf32>) -> (tensor<3xf32>, tensor<3xf32>) {
  %zero = onnx.Constant dense<[0]> : tensor<1xi64>
  %one = onnx.Constant dense<[1]> : tensor<1xi64>
  %three = onnx.Constant dense<[3]> : tensor<1xi64>
  %four = onnx.Constant dense<[4]> : tensor<1xi64>
  %none = onnx.none : none
  %a = onnx.Slice(%x, %zero, %three, %zero, %none) : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<3xf32>
  %b = onnx.Slice(%x, %one, %four, %zero, %none) : (tensor<4xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, none) -> tensor<3xf32>
  func.return %a, %b : tensor<3xf32>, tensor<3xf32>
}
