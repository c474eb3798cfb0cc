// RUN: sardonyx opt %s -p simplify-views,dce | filecheck %s

// Sizes that are the operand's at their place are copied.
// CHECK-LABEL: @computed
// CHECK-NOT: onnx.Shape
// CHECK: %[[shape:.*]] = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
// CHECK-NEXT: %y = onnx.Reshape(%x, %[[shape]])
func.func @computed(%x: tensor<?x?x8xf32, #onnx.dims<"b", "s", 8>>) -> tensor<?x?x2x4xf32, #onnx.dims<"b", "s", 2, 4>> {
  %two = onnx.Constant dense<[2, 4]> : tensor<2xi64>
  %s = onnx.Shape(%x) {end = 2 : i64} : (tensor<?x?x8xf32, #onnx.dims<"b", "s", 8>>) -> tensor<2xi64>
  %t = onnx.Concat(%s, %two) {axis = 0 : i64} : (tensor<2xi64>, tensor<2xi64>) -> tensor<4xi64>
  %y = onnx.Reshape(%x, %t) : (tensor<?x?x8xf32, #onnx.dims<"b", "s", 8>>, tensor<4xi64>) -> tensor<?x?x2x4xf32, #onnx.dims<"b", "s", 2, 4>>
  func.return %y : tensor<?x?x2x4xf32, #onnx.dims<"b", "s", 2, 4>>
}

// CHECK-LABEL: @twice
// CHECK: %[[shape:.*]] = onnx.Constant dense<[3, 2]> : tensor<2xi64>
// CHECK-NEXT: %y = onnx.Reshape(%x, %[[shape]])
func.func @twice(%x: tensor<1x2x3xf32>) -> tensor<3x2xf32> {
  %t = onnx.Constant dense<[3, 2]> : tensor<2xi64>
  %f = onnx.Flatten(%x) : (tensor<1x2x3xf32>) -> tensor<1x6xf32>
  %y = onnx.Reshape(%f, %t) : (tensor<1x6xf32>, tensor<2xi64>) -> tensor<3x2xf32>
  func.return %y : tensor<3x2xf32>
}

// Refused: two sizes change their places.
// CHECK-LABEL: @swapped
// CHECK: onnx.Concat
func.func @swapped(%x: tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<?x?xf32, #onnx.dims<"s", "b">> {
  %b = onnx.Shape(%x) {end = 1 : i64} : (tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<1xi64>
  %s = onnx.Shape(%x) {start = 1 : i64} : (tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<1xi64>
  %t = onnx.Concat(%s, %b) {axis = 0 : i64} : (tensor<1xi64>, tensor<1xi64>) -> tensor<2xi64>
  %y = onnx.Reshape(%x, %t) : (tensor<?x?xf32, #onnx.dims<"b", "s">>, tensor<2xi64>) -> tensor<?x?xf32, #onnx.dims<"s", "b">>
  func.return %y : tensor<?x?xf32, #onnx.dims<"s", "b">>
}
