// RUN: sardonyx opt %s -p fuse-gelu,dce | filecheck %s

// CHECK-LABEL: @gelu
// CHECK: %y = onnx.Gelu(%x) : (tensor<2xf32>) -> tensor<2xf32>
// CHECK-NEXT: func.return %y
func.func @gelu(%x: tensor<2xf32>) -> tensor<2xf32> {
  %root = onnx.Constant dense<[1.4142135]> : tensor<f32>
  %one = onnx.Constant dense<[1.0]> : tensor<f32>
  %half = onnx.Constant dense<[0.5]> : tensor<f32>
  %d = onnx.Div(%x, %root) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %e = onnx.Erf(%d) : (tensor<2xf32>) -> tensor<2xf32>
  %g = onnx.Add(%e, %one) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %m = onnx.Mul(%x, %g) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.Mul(%m, %half) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: @quick
// CHECK: %y = onnx.Swish(%x) {alpha = 1.702000e+00 : f32} : (tensor<2xf32>) -> tensor<2xf32>
func.func @quick(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = onnx.Constant dense<[1.702]> : tensor<f32>
  %m = onnx.Mul(%x, %a) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %s = onnx.Sigmoid(%m) : (tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.Mul(%s, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// Refused: the gate is of another value.
// CHECK-LABEL: @other
// CHECK-NOT: onnx.Swish
func.func @other(%x: tensor<2xf32>, %z: tensor<2xf32>) -> tensor<2xf32> {
  %s = onnx.Sigmoid(%z) : (tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.Mul(%s, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}
