// RUN: sardonyx opt %s -p cse | filecheck %s

// CHECK-LABEL: @same
// CHECK: %a = onnx.Exp(%x)
// CHECK-NEXT: onnx.Add(%a, %a)
func.func @same(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = onnx.Exp(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %b = onnx.Exp(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %c = onnx.Add(%a, %b) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %c : tensor<2xf32>
}

// Constants with one weight are one.
// CHECK-LABEL: @weights
// CHECK: %a = onnx.Constant #onnx.weight<"w">
// CHECK-NEXT: %b = onnx.Constant #onnx.weight<"v">
// CHECK-NEXT: onnx.Sum(%a, %a, %b)
func.func @weights() -> tensor<2xf32> {
  %a = onnx.Constant #onnx.weight<"w"> : tensor<2xf32>
  %same = onnx.Constant #onnx.weight<"w"> : tensor<2xf32>
  %b = onnx.Constant #onnx.weight<"v"> : tensor<2xf32>
  %c = onnx.Sum(%a, %same, %b) : (tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %c : tensor<2xf32>
}

// Refused: the attributes differ.
// CHECK-LABEL: @attributes
// CHECK: onnx.Elu(%x) {alpha = 1.000000e+00 : f32}
// CHECK-NEXT: onnx.Elu(%x) {alpha = 2.000000e+00 : f32}
func.func @attributes(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = onnx.Elu(%x) {alpha = 1.0 : f32} : (tensor<2xf32>) -> tensor<2xf32>
  %b = onnx.Elu(%x) {alpha = 2.0 : f32} : (tensor<2xf32>) -> tensor<2xf32>
  %c = onnx.Add(%a, %b) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %c : tensor<2xf32>
}

// Refused: -0.0 is not 0.0, although Python says that they are equal.
// CHECK-LABEL: @zeros
// CHECK: onnx.Constant dense<[0.0]>
// CHECK-NEXT: onnx.Constant dense<[-0.0]>
func.func @zeros() -> tensor<1xf32> {
  %a = onnx.Constant dense<[0.0]> : tensor<1xf32>
  %b = onnx.Constant dense<[-0.0]> : tensor<1xf32>
  %c = onnx.Add(%a, %b) : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  func.return %c : tensor<1xf32>
}

// Refused: two random tensors are two.
// CHECK-LABEL: @random
// CHECK: onnx.RandomNormal
// CHECK-NEXT: onnx.RandomNormal
func.func @random() -> tensor<2xf32> {
  %a = onnx.RandomNormal() {shape = array<i64: 2>} : () -> tensor<2xf32>
  %b = onnx.RandomNormal() {shape = array<i64: 2>} : () -> tensor<2xf32>
  %c = onnx.Sub(%a, %b) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %c : tensor<2xf32>
}
