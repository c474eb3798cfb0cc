// RUN: sardonyx opt %s -p simplify-algebra | filecheck %s

// CHECK-LABEL: @neutral
// CHECK-NEXT: func.return %x : tensor<2x3xf32>
func.func @neutral(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %zero = onnx.Constant dense<[0.0]> : tensor<1xf32>
  %one = onnx.Constant dense<[1.0, 1.0, 1.0]> : tensor<3xf32>
  %a = onnx.Add(%zero, %x) : (tensor<1xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %b = onnx.Mul(%a, %one) : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  func.return %b : tensor<2x3xf32>
}

// A division by 8 is exact as a product; one by 3 is not.
// CHECK-LABEL: @inverse
// CHECK: onnx.Constant dense<[0.125]> : tensor<f32>
// CHECK: onnx.Mul
// CHECK: onnx.Div
func.func @inverse(%x: tensor<2xf32>) -> tensor<2xf32> {
  %eight = onnx.Constant dense<[8.0]> : tensor<f32>
  %three = onnx.Constant dense<[3.0]> : tensor<f32>
  %a = onnx.Div(%x, %eight) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %b = onnx.Div(%a, %three) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  func.return %b : tensor<2xf32>
}

// Refused: the sum is larger than x.
// CHECK-LABEL: @stretched
// CHECK: onnx.Add
func.func @stretched(%x: tensor<3xf32>) -> tensor<2x3xf32> {
  %zero = onnx.Constant dense<[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]> : tensor<2x3xf32>
  %a = onnx.Add(%x, %zero) : (tensor<3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %a : tensor<2x3xf32>
}
