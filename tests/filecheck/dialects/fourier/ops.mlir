// RUN: ROUNDTRIP

// CHECK-LABEL: @alone
// CHECK: %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3, 5>, lengths = array<i64: 6, 8>, pads = array<i64: 1, 2, 1, 2>} : (tensor<?x2x4x6xf32>, tensor<2x6x5x2xf32>, none) -> tensor<?x2x4x6xf32>
func.func @alone(%x: tensor<?x2x4x6xf32>, %s: tensor<2x6x5x2xf32>) -> tensor<?x2x4x6xf32> {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3, 5>, lengths = array<i64: 6, 8>, pads = array<i64: 1, 2, 1, 2>} : (tensor<?x2x4x6xf32>, tensor<2x6x5x2xf32>, none) -> tensor<?x2x4x6xf32>
  func.return %y : tensor<?x2x4x6xf32>
}

// CHECK-LABEL: @several
// CHECK: fourier.Conv(%x, %s, %b) {kernel_shape = array<i64: 4>, lengths = array<i64: 10>}
func.func @several(%x: tensor<1x3x9xf64>, %s: tensor<6x1x3x2x2xf64>, %b: tensor<2xf64>) -> tensor<1x2x6xf64> {
  %y = fourier.Conv(%x, %s, %b) {kernel_shape = array<i64: 4>, lengths = array<i64: 10>} : (tensor<1x3x9xf64>, tensor<6x1x3x2x2xf64>, tensor<2xf64>) -> tensor<1x2x6xf64>
  func.return %y : tensor<1x2x6xf64>
}
