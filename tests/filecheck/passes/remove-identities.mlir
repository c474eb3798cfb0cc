// RUN: sardonyx opt %s -p remove-identities | filecheck %s

// CHECK-LABEL: @removed
// CHECK-NOT: onnx.Identity
// CHECK-NOT: onnx.Dropout
// CHECK-NOT: onnx.Cast
// CHECK-NOT: onnx.Reshape
// CHECK-NOT: onnx.Expand
// CHECK-NOT: onnx.Transpose
// CHECK-NOT: onnx.Concat
// CHECK-NOT: onnx.Sum
// CHECK: func.return %x : tensor<2x3xf32>
func.func @removed(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %none = onnx.none : none
  %shape = onnx.Constant dense<[2, 3]> : tensor<2xi64>
  %a = onnx.Identity(%x) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %b, %mask = onnx.Dropout(%a, %none, %none) : (tensor<2x3xf32>, none, none) -> (tensor<2x3xf32>, none)
  %c = onnx.Cast(%b) {to = 1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %d = onnx.Reshape(%c, %shape) : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  %e = onnx.Expand(%d, %shape) : (tensor<2x3xf32>, tensor<2xi64>) -> tensor<2x3xf32>
  %f = onnx.Transpose(%e) {perm = array<i64: 0, 1>} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %g = onnx.Concat(%f) {axis = 0 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  %h = onnx.Sum(%g) : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %h : tensor<2x3xf32>
}

// A dimension known by its expression stays what it is.
// CHECK-LABEL: @symbolic
// CHECK-NOT: onnx.Reshape
// CHECK: func.return %x
func.func @symbolic(%x: tensor<?xf32, #onnx.dims<"n">>, %s: tensor<1xi64>) -> tensor<?xf32, #onnx.dims<"n">> {
  %y = onnx.Reshape(%x, %s) : (tensor<?xf32, #onnx.dims<"n">>, tensor<1xi64>) -> tensor<?xf32, #onnx.dims<"n">>
  func.return %y : tensor<?xf32, #onnx.dims<"n">>
}

// Refused: two sizes of which nothing is known may differ.
// CHECK-LABEL: @unknown
// CHECK: onnx.Reshape
func.func @unknown(%x: tensor<?x?xf32>, %s: tensor<2xi64>) -> tensor<?x?xf32> {
  %y = onnx.Reshape(%x, %s) : (tensor<?x?xf32>, tensor<2xi64>) -> tensor<?x?xf32>
  func.return %y : tensor<?x?xf32>
}

// Refused: the mask is used.
// CHECK-LABEL: @mask
// CHECK: onnx.Dropout
func.func @mask(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xi1>) {
  %none = onnx.none : none
  %y, %mask = onnx.Dropout(%x, %none, %none) : (tensor<2xf32>, none, none) -> (tensor<2xf32>, tensor<2xi1>)
  func.return %y, %mask : tensor<2xf32>, tensor<2xi1>
}

// Refused: dropout in training mode, or in one that is not known.
// CHECK-LABEL: @training
// CHECK: onnx.Dropout
// CHECK: onnx.Dropout
func.func @training(%x: tensor<2xf32>, %mode: tensor<i1>) -> tensor<2xf32> {
  %none = onnx.none : none
  %true = onnx.Constant dense<[true]> : tensor<i1>
  %y, %m = onnx.Dropout(%x, %none, %true) : (tensor<2xf32>, none, tensor<i1>) -> (tensor<2xf32>, none)
  %z, %n = onnx.Dropout(%y, %none, %mode) : (tensor<2xf32>, none, tensor<i1>) -> (tensor<2xf32>, none)
  func.return %z : tensor<2xf32>
}

// Inference said with a constant is inference.
// CHECK-LABEL: @inference
// CHECK-NOT: onnx.Dropout
// CHECK: func.return %x
func.func @inference(%x: tensor<2xf32>) -> tensor<2xf32> {
  %none = onnx.none : none
  %false = onnx.Constant dense<[false]> : tensor<i1>
  %y, %m = onnx.Dropout(%x, %none, %false) : (tensor<2xf32>, none, tensor<i1>) -> (tensor<2xf32>, none)
  func.return %y : tensor<2xf32>
}

// Refused: these change their operand.
// CHECK-LABEL: @changed
// CHECK: onnx.Transpose
// CHECK: onnx.Cast
// CHECK: onnx.Cast
// CHECK: onnx.Concat
func.func @changed(%x: tensor<2x2xf32>) -> tensor<4x2xf32> {
  %a = onnx.Transpose(%x) {perm = array<i64: 1, 0>} : (tensor<2x2xf32>) -> tensor<2x2xf32>
  %b = onnx.Cast(%a) {to = 7 : i64} : (tensor<2x2xf32>) -> tensor<2x2xi64>
  %c = onnx.Cast(%b) {to = 1 : i64} : (tensor<2x2xi64>) -> tensor<2x2xf32>
  %d = onnx.Concat(%c, %c) {axis = 0 : i64} : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<4x2xf32>
  func.return %d : tensor<4x2xf32>
}

// Refused: without a perm the order is reversed.
// CHECK-LABEL: @reversed
// CHECK: onnx.Transpose
func.func @reversed(%x: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %a = onnx.Transpose(%x) : (tensor<2x2xf32>) -> tensor<2x2xf32>
  func.return %a : tensor<2x2xf32>
}
