// RUN: sardonyx opt %s --verify-diagnostics --parsing-diagnostics --split-input-file | filecheck %s

// A dtype that the operator does not take.
// CHECK: found tensor(int64), wanted one of tensor(bfloat16), tensor(double), tensor(float), tensor(float16)
func.func @dtype(%x: tensor<2xi64>) {
  %y = onnx.Exp(%x) : (tensor<2xi64>) -> tensor<2xi64>
  func.return
}

// -----

// Element types that must be one.
// CHECK: found tensor(double) where T is already tensor(float)
func.func @mixed(%x: tensor<2xf32>, %y: tensor<2xf64>) {
  %z = onnx.Add(%x, %y) : (tensor<2xf32>, tensor<2xf64>) -> tensor<2xf32>
  func.return
}

// -----

// The result's element type is bound like the operands'.
// CHECK: found tensor(double) where T is already tensor(float)
func.func @result(%x: tensor<2xf32>) {
  %z = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf64>
  func.return
}

// -----

// CHECK: a value that is not optional has type none
func.func @required(%x: tensor<2xf32>) {
  %none = onnx.none : none
  %z = onnx.Add(%x, %none) : (tensor<2xf32>, none) -> tensor<2xf32>
  func.return
}

// -----

// A type that ONNX does not have.
// CHECK: f80 is not an ONNX element type
func.func @element(%x: tensor<2xf80>) {
  %z = onnx.Relu(%x) : (tensor<2xf80>) -> tensor<2xf80>
  func.return
}

// -----

// CHECK: i32 is not an ONNX type
func.func @scalar(%x: i32) {
  %z = onnx.Identity(%x) : (i32) -> i32
  func.return
}

// -----

// CHECK: Expected 2 operands, but got 1
func.func @operands(%x: tensor<2xf32>) {
  %z = onnx.Add(%x) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// The properties of an op are the operator's attributes and no others.
// CHECK: property 'beta' is not defined by the operation 'onnx.Elu'
func.func @unknown(%x: tensor<2xf32>) {
  %z = "onnx.Elu"(%x) <{beta = 1.0 : f32}> : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: property 'to' expected in operation 'onnx.Cast'
func.func @missing(%x: tensor<2xf32>) {
  %z = onnx.Cast(%x) : (tensor<2xf32>) -> tensor<2xf64>
  func.return
}

// -----

// An attribute of another kind.
// CHECK: "1" should be of base attribute float
func.func @kind(%x: tensor<2xf32>) {
  %z = onnx.Elu(%x) {alpha = "1"} : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: dims ['n', 4] do not fit the shape of tensor<?x3xf32, #onnx.dims<"n", 4>>
func.func @dims(%x: tensor<?x3xf32, #onnx.dims<"n", 4>>) {
  %z = onnx.Relu(%x) : (tensor<?x3xf32, #onnx.dims<"n", 4>>) -> tensor<?x3xf32>
  func.return
}

// -----

// CHECK: dims ['n'] do not fit the shape of tensor<?x3xf32, #onnx.dims<"n">>
func.func @rank(%x: tensor<?x3xf32, #onnx.dims<"n">>) {
  %z = onnx.Relu(%x) : (tensor<?x3xf32, #onnx.dims<"n">>) -> tensor<?x3xf32>
  func.return
}

// -----

// CHECK: found tensor<?x3xf32> for a weight, wanted a static shape
func.func @weight() {
  %w = onnx.Constant #onnx.weight<"w"> : tensor<?x3xf32>
  func.return
}

// -----

// CHECK: 3 elements do not fill tensor<2xi64>
func.func @size() {
  %c = onnx.Constant dense<[1, 2, 3]> : tensor<2xi64>
  func.return
}

// -----

// CHECK: 128 is not in [-128, 127]
func.func @range() {
  %c = onnx.Constant dense<[128]> : tensor<1xi8>
  func.return
}

// -----

// CHECK: not an element of tensor<1xi8>: 1.5
func.func @float() {
  %c = onnx.Constant dense<[1.5]> : tensor<1xi8>
  func.return
}

// -----

// CHECK: expected string literals
func.func @text() {
  %c = onnx.Constant dense<[1]> : tensor<1x!onnx.string>
  func.return
}

// -----

// CHECK: found a value of tensor<2xi64>, wanted tensor<3xi64>
func.func @value() {
  %c = onnx.Constant() {value = #onnx.dense<[1, 2] : tensor<2xi64>>} : () -> tensor<3xi64>
  func.return
}

// -----

// CHECK: expected a tensor type, got i64
func.func @type() {
  %c = onnx.Constant dense<[1]> : i64
  func.return
}

// -----

// A note without a dialect's prefix is a misspelt attribute.
// CHECK: Elu has no attribute 'alhpa'
func.func @misspelt(%x: tensor<2xf32>) {
  %y = onnx.Elu(%x) {alhpa = 2.0 : f32} : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// A list of floats where the schema has a list of integers.
// CHECK: f32
func.func @mistyped_list(%x: tensor<2x3xf32>) {
  %y = onnx.Transpose(%x) {perm = array<f32: 1.0, 0.0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
  func.return
}
