// RUN: sardonyx opt %s -p split-concats,dce | filecheck %s

// Each part has its own filters; the bias is added once.
// CHECK-LABEL: @parts
// CHECK-NOT: onnx.Concat
// CHECK: onnx.Constant dense<[1.0, 2.0, 3.0]> : tensor<1x3x1x1xf32>
// CHECK: onnx.Conv(%a, {{.*}}, %bias) : (tensor<1x3x4x6xf32>, tensor<1x3x1x1xf32>, tensor<1xf32>) -> tensor<1x1x4x6xf32>
// CHECK: onnx.Constant dense<[4.0]> : tensor<1x1x1x1xf32>
// CHECK: onnx.Conv(%b, {{.*}}) : (tensor<1x1x4x6xf32>, tensor<1x1x1x1xf32>, none) -> tensor<1x1x4x6xf32>
// CHECK: onnx.Add
func.func @parts(%a: tensor<1x3x4x6xf32>, %b: tensor<1x1x4x6xf32>) -> tensor<1x1x4x6xf32> {
  %w = onnx.Constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<1x4x1x1xf32>
  %bias = onnx.Constant dense<[5.0]> : tensor<1xf32>
  %c = onnx.Concat(%a, %b) {axis = 1 : i64} : (tensor<1x3x4x6xf32>, tensor<1x1x4x6xf32>) -> tensor<1x4x4x6xf32>
  %y = onnx.Conv(%c, %w, %bias) : (tensor<1x4x4x6xf32>, tensor<1x4x1x1xf32>, tensor<1xf32>) -> tensor<1x1x4x6xf32>
  func.return %y : tensor<1x1x4x6xf32>
}

// Refused: as much would be added up as is joined.
// CHECK-LABEL: @many
// CHECK: onnx.Concat
func.func @many(%a: tensor<1x1x4x6xf32>, %b: tensor<1x1x4x6xf32>) -> tensor<1x2x4x6xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[1.0, 2.0, 3.0, 4.0]> : tensor<2x2x1x1xf32>
  %c = onnx.Concat(%a, %b) {axis = 1 : i64} : (tensor<1x1x4x6xf32>, tensor<1x1x4x6xf32>) -> tensor<1x2x4x6xf32>
  %y = onnx.Conv(%c, %w, %none) : (tensor<1x2x4x6xf32>, tensor<2x2x1x1xf32>, none) -> tensor<1x2x4x6xf32>
  func.return %y : tensor<1x2x4x6xf32>
}
