// RUN: sardonyx opt %s -p fold-affine,dce | filecheck %s

// CHECK-LABEL: @scaled
// CHECK: %w = onnx.Constant dense<[6.0]> : tensor<1x1x1xf32>
// CHECK-NEXT: %[[none:.*]] = onnx.none
// CHECK-NEXT: %y = onnx.Conv(%x, %w, %[[none]])
func.func @scaled(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %s = onnx.Constant dense<[3.0]> : tensor<1x1xf32>
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %y = onnx.Mul(%c, %s) : (tensor<1x1x4xf32>, tensor<1x1xf32>) -> tensor<1x1x4xf32>
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the scale is not constant.
// CHECK-LABEL: @computed
// CHECK: onnx.Mul
func.func @computed(%x: tensor<1x1x4xf32>, %s: tensor<1x1xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %y = onnx.Mul(%c, %s) : (tensor<1x1x4xf32>, tensor<1x1xf32>) -> tensor<1x1x4xf32>
  func.return %y : tensor<1x1x4xf32>
}
