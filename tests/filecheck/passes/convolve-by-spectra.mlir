// RUN: sardonyx opt %s -p fold-constants,convolve-by-spectra,dce | filecheck %s

// 500 places and 32 of padding, in 540 points: half of them, and one more, are kept.
// CHECK-LABEL: @row
// CHECK: %w = onnx.Constant #onnx.weight<"w.spectra"> : tensor<48x271x2xf32>
// CHECK: fourier.Conv(%x, %w, %{{.*}}) {group = 48 : i64, kernel_shape = array<i64: 64>, lengths = array<i64: 540>, pads = array<i64: 31, 32>} : (tensor<1x48x500xf32>, tensor<48x271x2xf32>, none) -> tensor<1x48x500xf32>
func.func @row(%x: tensor<1x48x500xf32>) -> tensor<1x48x500xf32> {
  %none = onnx.none : none
  %shape = onnx.Constant dense<[48, 1, 64]> : tensor<3xi64>
  %w = onnx.ConstantOfShape(%shape) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<3xi64>) -> tensor<48x1x64xf32>
  %y = onnx.Conv(%x, %w, %none) {group = 48 : i64, pads = array<i64: 31, 32>} : (tensor<1x48x500xf32>, tensor<48x1x64xf32>, none) -> tensor<1x48x500xf32>
  func.return %y : tensor<1x48x500xf32>
}

// Matrices for every frequency, of kernels that see several channels.
// CHECK-LABEL: @image
// CHECK: fourier.Conv(%x, %w, %b) {group = 1 : i64, kernel_shape = array<i64: 21, 21>, lengths = array<i64: 80, 90>, pads = array<i64: 10, 10, 10, 10>} : (tensor<?x3x70x80xf32>, tensor<80x46x1x3x3x2xf32>, tensor<3xf32>) -> tensor<?x3x70x80xf32>
func.func @image(%x: tensor<?x3x70x80xf32>, %b: tensor<3xf32>) -> tensor<?x3x70x80xf32> {
  %shape = onnx.Constant dense<[3, 3, 21, 21]> : tensor<4xi64>
  %w = onnx.ConstantOfShape(%shape) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<4xi64>) -> tensor<3x3x21x21xf32>
  %y = onnx.Conv(%x, %w, %b) {auto_pad = "SAME_UPPER"} : (tensor<?x3x70x80xf32>, tensor<3x3x21x21xf32>, tensor<3xf32>) -> tensor<?x3x70x80xf32>
  func.return %y : tensor<?x3x70x80xf32>
}

// Refused: as many transforms as maps, each of which is one of many matrices directly.
// CHECK-LABEL: @many
// CHECK: onnx.Conv
func.func @many(%x: tensor<1x64x20x20xf32>) -> tensor<1x64x14x14xf32> {
  %none = onnx.none : none
  %shape = onnx.Constant dense<[64, 64, 7, 7]> : tensor<4xi64>
  %w = onnx.ConstantOfShape(%shape) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<4xi64>) -> tensor<64x64x7x7xf32>
  %y = onnx.Conv(%x, %w, %none) : (tensor<1x64x20x20xf32>, tensor<64x64x7x7xf32>, none) -> tensor<1x64x14x14xf32>
  func.return %y : tensor<1x64x14x14xf32>
}
