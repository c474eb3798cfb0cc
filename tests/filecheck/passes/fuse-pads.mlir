// RUN: sardonyx opt %s -p fuse-pads,dce | filecheck %s

// CHECK-LABEL: @padded
// CHECK-NOT: onnx.Pad(
// CHECK: %y = onnx.Conv(%x, %w, %none) {pads = array<i64: 1, 2>}
func.func @padded(%x: tensor<1x1x4xf32>, %w: tensor<1x1x1xf32>) -> tensor<1x1x7xf32> {
  %none = onnx.none : none
  %p = onnx.Constant dense<[0, 0, 1, 0, 0, 2]> : tensor<6xi64>
  %q = onnx.Pad(%x, %p, %none, %none) : (tensor<1x1x4xf32>, tensor<6xi64>, none, none) -> tensor<1x1x7xf32>
  %y = onnx.Conv(%q, %w, %none) : (tensor<1x1x7xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x7xf32>
  func.return %y : tensor<1x1x7xf32>
}

// Refused: not zeros.
// CHECK-LABEL: @ones
// CHECK: onnx.Pad(
func.func @ones(%x: tensor<1x1x4xf32>, %w: tensor<1x1x1xf32>) -> tensor<1x1x7xf32> {
  %none = onnx.none : none
  %one = onnx.Constant dense<[1.0]> : tensor<f32>
  %p = onnx.Constant dense<[0, 0, 1, 0, 0, 2]> : tensor<6xi64>
  %q = onnx.Pad(%x, %p, %one, %none) : (tensor<1x1x4xf32>, tensor<6xi64>, tensor<f32>, none) -> tensor<1x1x7xf32>
  %y = onnx.Conv(%q, %w, %none) : (tensor<1x1x7xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x7xf32>
  func.return %y : tensor<1x1x7xf32>
}
