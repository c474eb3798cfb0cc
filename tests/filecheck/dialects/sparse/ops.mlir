// RUN: ROUNDTRIP

// CHECK-LABEL: @products
// CHECK: %a = sparse.MatMul(%x, %w, %i) {sparse.encoding = #sparse.encoding<group_shared 2 2>} : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x2xi32>) -> tensor<3x4xf32>
// CHECK-NEXT: %b = sparse.MatMul(%a, %w, %r) {span = 2 : i64, sparse.encoding = #sparse.encoding<block 2 2 1>} : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x1xi32>) -> tensor<3x4xf32>
// CHECK-NEXT: %c = sparse.MatMul(%b, %n, %h) {sparse.encoding = #sparse.encoding<nm 1 2 shared>} : (tensor<3x4xf32>, tensor<1x2x4xf32>, tensor<1x2xi32>) -> tensor<3x4xf32>
// CHECK-NEXT: %d = sparse.BitmapMatMul(%c, %v, %m) {K = 4 : i64, sparse.encoding = #sparse.encoding<bitmap 5>} : (tensor<3x4xf32>, tensor<5xf32>, tensor<3x1xui8>) -> tensor<3x3xf32>
// CHECK-NEXT: %e = sparse.MatMul(%d, %w, %i) {axis = -2 : i64} : (tensor<3x3xf32>, tensor<2x2x2xf32>, tensor<2x2xi32>) -> tensor<4x3xf32>
func.func @products(%x: tensor<3x4xf32>, %w: tensor<2x2x2xf32>, %n: tensor<1x2x4xf32>, %i: tensor<2x2xi32>, %r: tensor<2x1xi32>, %h: tensor<1x2xi32>, %v: tensor<5xf32>, %m: tensor<3x1xui8>) {
  %a = sparse.MatMul(%x, %w, %i) {sparse.encoding = #sparse.encoding<group_shared 2 2>} : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x2xi32>) -> tensor<3x4xf32>
  %b = sparse.MatMul(%a, %w, %r) {span = 2 : i64, sparse.encoding = #sparse.encoding<block 2 2 1>} : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x1xi32>) -> tensor<3x4xf32>
  %c = sparse.MatMul(%b, %n, %h) {sparse.encoding = #sparse.encoding<nm 1 2 shared>} : (tensor<3x4xf32>, tensor<1x2x4xf32>, tensor<1x2xi32>) -> tensor<3x4xf32>
  %d = sparse.BitmapMatMul(%c, %v, %m) {K = 4 : i64, sparse.encoding = #sparse.encoding<bitmap 5>} : (tensor<3x4xf32>, tensor<5xf32>, tensor<3x1xui8>) -> tensor<3x3xf32>
  %e = sparse.MatMul(%d, %w, %i) {axis = -2 : i64} : (tensor<3x3xf32>, tensor<2x2x2xf32>, tensor<2x2xi32>) -> tensor<4x3xf32>
  func.return
}
