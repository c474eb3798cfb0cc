// RUN: sardonyx opt %s --verify-diagnostics --parsing-diagnostics --split-input-file | filecheck %s

// CHECK: found 3 axes of space, wanted 1 or 2
func.func @axes(%x: tensor<1x2x4x6x5xf32>, %s: tensor<2x6x8x6x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3, 5, 2>, lengths = array<i64: 6, 8, 10>} : (tensor<1x2x4x6x5xf32>, tensor<2x6x8x6x2xf32>, none) -> tensor<1x2x2x2x4xf32>
  func.return
}

// -----

// CHECK: found 1 lengths, wanted 2
func.func @lengths(%x: tensor<1x2x4x6xf32>, %s: tensor<2x6x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3, 5>, lengths = array<i64: 6>} : (tensor<1x2x4x6xf32>, tensor<2x6x5x2xf32>, none) -> tensor<1x2x2x2xf32>
  func.return
}

// -----

// CHECK: found spectra [2, 6, 5, 2], wanted [2, 6, 6, 2]
func.func @spectra(%x: tensor<1x2x4x6xf32>, %s: tensor<2x6x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3, 5>, lengths = array<i64: 6, 10>} : (tensor<1x2x4x6xf32>, tensor<2x6x5x2xf32>, none) -> tensor<1x2x2x2xf32>
  func.return
}

// -----

// CHECK: found 3 channels, wanted 2 groups of 1
func.func @channels(%x: tensor<1x3x6xf32>, %s: tensor<2x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>} : (tensor<1x3x6xf32>, tensor<2x5x2xf32>, none) -> tensor<1x2x4xf32>
  func.return
}

// -----

// CHECK: found 6 channels, wanted 1 groups of 3
func.func @depth(%x: tensor<1x6x9xf32>, %s: tensor<6x1x3x2x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {kernel_shape = array<i64: 4>, lengths = array<i64: 10>} : (tensor<1x6x9xf32>, tensor<6x1x3x2x2xf32>, none) -> tensor<1x2x6xf32>
  func.return
}

// -----

// CHECK: found 3 maps for 2 groups, wanted as many for each
func.func @maps(%x: tensor<1x2x6xf32>, %s: tensor<3x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>} : (tensor<1x2x6xf32>, tensor<3x5x2xf32>, none) -> tensor<1x3x4xf32>
  func.return
}

// -----

// CHECK: found 2 maps for 0 groups, wanted as many for each
func.func @groups(%x: tensor<1x2x6xf32>, %s: tensor<2x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 0 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>} : (tensor<1x2x6xf32>, tensor<2x5x2xf32>, none) -> tensor<1x2x4xf32>
  func.return
}

// -----

// CHECK: found a bias of tensor<3xf32>, wanted one of [2]
func.func @bias(%x: tensor<1x2x6xf32>, %s: tensor<2x5x2xf32>, %b: tensor<3xf32>) {
  %y = fourier.Conv(%x, %s, %b) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>} : (tensor<1x2x6xf32>, tensor<2x5x2xf32>, tensor<3xf32>) -> tensor<1x2x4xf32>
  func.return
}

// -----

// CHECK: found length 8, wanted an even one from 10 on
func.func @length(%x: tensor<1x2x9xf32>, %s: tensor<2x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>, pads = array<i64: 0, 1>} : (tensor<1x2x9xf32>, tensor<2x5x2xf32>, none) -> tensor<1x2x8xf32>
  func.return
}

// -----

// CHECK: found pads [0, 3] of a kernel of 3 on 4
func.func @pads(%x: tensor<1x2x4xf32>, %s: tensor<2x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>, pads = array<i64: 0, 3>} : (tensor<1x2x4xf32>, tensor<2x5x2xf32>, none) -> tensor<1x2x5xf32>
  func.return
}

// -----

// CHECK: found an image of tensor<1x2x?xf32>, wanted 1 known sizes behind its channels
func.func @sizes(%x: tensor<1x2x?xf32>, %s: tensor<2x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>} : (tensor<1x2x?xf32>, tensor<2x5x2xf32>, none) -> tensor<1x2x?xf32>
  func.return
}

// -----

// CHECK: found a result of tensor<1x2x5xf32>
func.func @result(%x: tensor<1x2x6xf32>, %s: tensor<2x5x2xf32>) {
  %none = onnx.none : none
  %y = fourier.Conv(%x, %s, %none) {group = 2 : i64, kernel_shape = array<i64: 3>, lengths = array<i64: 8>} : (tensor<1x2x6xf32>, tensor<2x5x2xf32>, none) -> tensor<1x2x5xf32>
  func.return
}
