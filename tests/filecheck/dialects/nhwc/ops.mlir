// RUN: ROUNDTRIP

// CHECK-LABEL: @ops
// CHECK: %c = nhwc.Conv(%x, %w, %none) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x4x2xf32>, tensor<3x3x2x3xf32>, none) -> tensor<1x4x4x3xf32>
// CHECK-NEXT: %m = nhwc.MaxPool(%c) {kernel_shape = array<i64: 2, 2>} : (tensor<1x4x4x3xf32>) -> tensor<1x3x3x3xf32>
// CHECK-NEXT: %a = nhwc.AveragePool(%m) {kernel_shape = array<i64: 2, 2>} : (tensor<1x3x3x3xf32>) -> tensor<1x2x2x3xf32>
// CHECK-NEXT: %b = nhwc.BatchNormalization(%a, %s, %s, %s, %s) : (tensor<1x2x2x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x2x2x3xf32>
// CHECK-NEXT: %y = nhwc.LRN(%b) {size = 3 : i64} : (tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
func.func @ops(%x: tensor<1x4x4x2xf32>, %w: tensor<3x3x2x3xf32>, %s: tensor<3xf32>) -> tensor<1x2x2x3xf32> {
  %none = onnx.none : none
  %c = nhwc.Conv(%x, %w, %none) {pads = array<i64: 1, 1, 1, 1>} : (tensor<1x4x4x2xf32>, tensor<3x3x2x3xf32>, none) -> tensor<1x4x4x3xf32>
  %m = nhwc.MaxPool(%c) {kernel_shape = array<i64: 2, 2>} : (tensor<1x4x4x3xf32>) -> tensor<1x3x3x3xf32>
  %a = nhwc.AveragePool(%m) {kernel_shape = array<i64: 2, 2>} : (tensor<1x3x3x3xf32>) -> tensor<1x2x2x3xf32>
  %b = nhwc.BatchNormalization(%a, %s, %s, %s, %s) : (tensor<1x2x2x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<1x2x2x3xf32>
  %y = nhwc.LRN(%b) {size = 3 : i64} : (tensor<1x2x2x3xf32>) -> tensor<1x2x2x3xf32>
  func.return %y : tensor<1x2x2x3xf32>
}
