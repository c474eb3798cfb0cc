// RUN: sardonyx opt %s -p fold-constants,block-shuffles,dce | filecheck %s

// Between the products only blocks of 8 channels are moved, and padded on the way.
// CHECK-LABEL: @unit
// CHECK: [[A:%\d+]] = onnx.MatMul({{.*}}) : (tensor<2x42x16xf32>, tensor<2x16x16xf32>) -> tensor<2x42x16xf32>
// CHECK: [[R:%\d+]] = onnx.Relu([[A]]) : (tensor<2x42x16xf32>) -> tensor<2x42x16xf32>
// CHECK: onnx.Reshape([[R]], {{.*}}) : (tensor<2x42x16xf32>, tensor<6xi64>) -> tensor<2x1x6x7x2x8xf32>
// CHECK-NEXT: [[B:%\d+]] = onnx.Transpose({{.*}}) {perm = array<i64: 1, 2, 3, 4, 0, 5>} : (tensor<2x1x6x7x2x8xf32>) -> tensor<1x6x7x2x2x8xf32>
// CHECK: onnx.Pad([[B]], {{.*}}) : (tensor<1x6x7x2x2x8xf32>, tensor<12xi64>, none, none) -> tensor<1x8x9x2x2x8xf32>
// CHECK: nhwc.Conv({{.*}}) {group = 32 : i64, pads = array<i64: 0, 0, 0, 0>} : (tensor<1x8x9x32xf32>, tensor<3x3x1x32xf32>, none) -> tensor<1x6x7x32xf32>
// CHECK: onnx.MatMul({{.*}}) : (tensor<2x42x16xf32>, tensor<2x16x16xf32>) -> tensor<2x42x16xf32>
// CHECK-NOT: onnx.Conv
// CHECK: func.return
func.func @unit(%x: tensor<1x32x6x7xf32>) -> tensor<1x32x6x7xf32> {
  %none = onnx.none : none
  %product = onnx.Constant dense<[32, 16, 1, 1]> : tensor<4xi64>
  %window = onnx.Constant dense<[32, 1, 3, 3]> : tensor<4xi64>
  %w = onnx.ConstantOfShape(%product) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<4xi64>) -> tensor<32x16x1x1xf32>
  %k = onnx.ConstantOfShape(%window) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<4xi64>) -> tensor<32x1x3x3xf32>
  %a = onnx.Conv(%x, %w, %none) {group = 2 : i64} : (tensor<1x32x6x7xf32>, tensor<32x16x1x1xf32>, none) -> tensor<1x32x6x7xf32>
  %b = onnx.Relu(%a) : (tensor<1x32x6x7xf32>) -> tensor<1x32x6x7xf32>
  %apart = onnx.Constant dense<[1, 2, 16, 6, 7]> : tensor<5xi64>
  %c = onnx.Reshape(%b, %apart) : (tensor<1x32x6x7xf32>, tensor<5xi64>) -> tensor<1x2x16x6x7xf32>
  %d = onnx.Transpose(%c) {perm = array<i64: 0, 2, 1, 3, 4>} : (tensor<1x2x16x6x7xf32>) -> tensor<1x16x2x6x7xf32>
  %whole = onnx.Constant dense<[1, 32, 6, 7]> : tensor<4xi64>
  %e = onnx.Reshape(%d, %whole) : (tensor<1x16x2x6x7xf32>, tensor<4xi64>) -> tensor<1x32x6x7xf32>
  %f = onnx.Conv(%e, %k, %none) {group = 32 : i64, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x32x6x7xf32>, tensor<32x1x3x3xf32>, none) -> tensor<1x32x6x7xf32>
  %g = onnx.Conv(%f, %w, %none) {group = 2 : i64} : (tensor<1x32x6x7xf32>, tensor<32x16x1x1xf32>, none) -> tensor<1x32x6x7xf32>
  func.return %g : tensor<1x32x6x7xf32>
}

// Refused: what is shuffled is a result too.
// CHECK-LABEL: @shown
// CHECK-COUNT-3: onnx.Conv
func.func @shown(%x: tensor<1x32x6x7xf32>) -> (tensor<1x32x6x7xf32>, tensor<1x32x6x7xf32>) {
  %none = onnx.none : none
  %product = onnx.Constant dense<[32, 16, 1, 1]> : tensor<4xi64>
  %window = onnx.Constant dense<[32, 1, 3, 3]> : tensor<4xi64>
  %w = onnx.ConstantOfShape(%product) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<4xi64>) -> tensor<32x16x1x1xf32>
  %k = onnx.ConstantOfShape(%window) {value = #onnx.dense<[0.5] : tensor<1xf32>>} : (tensor<4xi64>) -> tensor<32x1x3x3xf32>
  %a = onnx.Conv(%x, %w, %none) {group = 2 : i64} : (tensor<1x32x6x7xf32>, tensor<32x16x1x1xf32>, none) -> tensor<1x32x6x7xf32>
  %b = onnx.Relu(%a) : (tensor<1x32x6x7xf32>) -> tensor<1x32x6x7xf32>
  %apart = onnx.Constant dense<[1, 2, 16, 6, 7]> : tensor<5xi64>
  %c = onnx.Reshape(%b, %apart) : (tensor<1x32x6x7xf32>, tensor<5xi64>) -> tensor<1x2x16x6x7xf32>
  %d = onnx.Transpose(%c) {perm = array<i64: 0, 2, 1, 3, 4>} : (tensor<1x2x16x6x7xf32>) -> tensor<1x16x2x6x7xf32>
  %whole = onnx.Constant dense<[1, 32, 6, 7]> : tensor<4xi64>
  %e = onnx.Reshape(%d, %whole) : (tensor<1x16x2x6x7xf32>, tensor<4xi64>) -> tensor<1x32x6x7xf32>
  %f = onnx.Conv(%e, %k, %none) {group = 32 : i64, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x32x6x7xf32>, tensor<32x1x3x3xf32>, none) -> tensor<1x32x6x7xf32>
  %g = onnx.Conv(%f, %w, %none) {group = 2 : i64} : (tensor<1x32x6x7xf32>, tensor<32x16x1x1xf32>, none) -> tensor<1x32x6x7xf32>
  func.return %g, %e : tensor<1x32x6x7xf32>, tensor<1x32x6x7xf32>
}
