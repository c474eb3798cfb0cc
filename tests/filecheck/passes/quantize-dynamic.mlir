// RUN: sardonyx opt %s -p quantize-dynamic,dce | filecheck %s
// RUN: sardonyx opt %s -p 'quantize-dynamic{per="row"},dce' | filecheck %s --check-prefix=ROW

// CHECK-LABEL: @product
// CHECK: %w = onnx.Constant dense<[127, 127]> : tensor<2x1xi8>
// CHECK: [[Q:%.*]], [[S:%.*]], [[Z:%.*]] = onnx.DynamicQuantizeLinear(%x)
// CHECK: onnx.MatMulInteger([[Q]], %w, [[Z]]
// CHECK-NOT: onnx.MatMul(

// ROW-LABEL: @product
// ROW: onnx.ReduceMax
// ROW: onnx.MatMulInteger(
// ROW-NOT: onnx.DynamicQuantizeLinear
func.func @product(%x: tensor<3x2xf32>) -> tensor<3x1xf32> {
  %w = onnx.Constant dense<[2.0, 2.0]> : tensor<2x1xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x2xf32>, tensor<2x1xf32>) -> tensor<3x1xf32>
  func.return %y : tensor<3x1xf32>
}

// Refused: the weight is not constant.
// CHECK-LABEL: @free
// CHECK: onnx.MatMul(
func.func @free(%x: tensor<3x2xf32>, %w: tensor<2x1xf32>) -> tensor<3x1xf32> {
  %y = onnx.MatMul(%x, %w) : (tensor<3x2xf32>, tensor<2x1xf32>) -> tensor<3x1xf32>
  func.return %y : tensor<3x1xf32>
}
