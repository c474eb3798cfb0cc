// RUN: sardonyx opt %s -p fuse-qdq,dce | filecheck %s

// CHECK-LABEL: @codes
// CHECK-NOT: onnx.DequantizeLinear
// CHECK: onnx.MatMulInteger(%x, %w, %z
// CHECK-NOT: onnx.DequantizeLinear
func.func @codes(%x: tensor<3x2xui8>) -> tensor<3x1xf32> {
  %none = onnx.none : none
  %s = onnx.Constant dense<[0.5]> : tensor<f32>
  %z = onnx.Constant dense<[7]> : tensor<ui8>
  %w = onnx.Constant dense<[3, -4]> : tensor<2x1xi8>
  %d = onnx.DequantizeLinear(%x, %s, %z) : (tensor<3x2xui8>, tensor<f32>, tensor<ui8>) -> tensor<3x2xf32>
  %e = onnx.DequantizeLinear(%w, %s, %none) : (tensor<2x1xi8>, tensor<f32>, none) -> tensor<2x1xf32>
  %y = onnx.MatMul(%d, %e) : (tensor<3x2xf32>, tensor<2x1xf32>) -> tensor<3x1xf32>
  func.return %y : tensor<3x1xf32>
}

// Refused: the activation is a float.
// CHECK-LABEL: @real
// CHECK: onnx.MatMul(
func.func @real(%x: tensor<3x2xf32>) -> tensor<3x1xf32> {
  %none = onnx.none : none
  %s = onnx.Constant dense<[0.5]> : tensor<f32>
  %w = onnx.Constant dense<[3, -4]> : tensor<2x1xi8>
  %e = onnx.DequantizeLinear(%w, %s, %none) : (tensor<2x1xi8>, tensor<f32>, none) -> tensor<2x1xf32>
  %y = onnx.MatMul(%x, %e) : (tensor<3x2xf32>, tensor<2x1xf32>) -> tensor<3x1xf32>
  func.return %y : tensor<3x1xf32>
}
