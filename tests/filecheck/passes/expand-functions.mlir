// RUN: sardonyx opt %s -p 'expand-functions{ops="Mish","PRelu","Relu"}' | filecheck %s
// RUN: sardonyx opt %s -p expand-functions | filecheck %s --check-prefix DEFAULT

// CHECK-LABEL: @mish
// CHECK-NOT: onnx.Mish
// CHECK: %[[S:.*]] = onnx.Softplus(%x)
// CHECK-NEXT: %[[T:.*]] = onnx.Tanh(%[[S]])
// CHECK-NEXT: %y = onnx.Mul(%x, %[[T]]) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
// CHECK-NEXT: func.return %y
func.func @mish(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.Mish(%x) : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// Refused: it was not named, and it has a kernel.
// CHECK-LABEL: @kernel
// CHECK: onnx.HardSwish
// DEFAULT-LABEL: @kernel
// DEFAULT: onnx.HardSwish
func.func @kernel(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.HardSwish(%x) : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// Refused: a primitive has no function body.
// CHECK-LABEL: @primitive
// CHECK: onnx.Add
func.func @primitive(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.Add(%x, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}
