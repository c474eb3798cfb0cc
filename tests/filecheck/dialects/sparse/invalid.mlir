// RUN: sardonyx opt %s --verify-diagnostics --parsing-diagnostics --split-input-file | filecheck %s

// CHECK: found encoding 'csr', wanted nm, group_shared, block, bitmap
func.func @encoding() attributes {a = #sparse.encoding<csr>} {
  func.return
}

// -----

// CHECK: found nm 5 of 4, wanted at most all
func.func @more() attributes {a = #sparse.encoding<nm 5 4>} {
  func.return
}

// -----

// CHECK: found indices of tensor<2x3xi32>, wanted [2, 2]
func.func @indices(%x: tensor<3x4xf32>, %w: tensor<2x2x2xf32>, %i: tensor<2x3xi32>) {
  %a = sparse.MatMul(%x, %w, %i) : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x3xi32>) -> tensor<3x4xf32>
  func.return
}

// -----

// CHECK: found group_shared 2 3, wanted group_shared 2 2
func.func @note(%x: tensor<3x4xf32>, %w: tensor<2x2x2xf32>, %i: tensor<2x2xi32>) {
  %a = sparse.MatMul(%x, %w, %i) {sparse.encoding = #sparse.encoding<group_shared 2 3>} : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x2xi32>) -> tensor<3x4xf32>
  func.return
}

// -----

// CHECK: found a result of tensor<3x5xf32>
func.func @result(%x: tensor<3x4xf32>, %w: tensor<2x2x2xf32>, %i: tensor<2x2xi32>) {
  %a = sparse.MatMul(%x, %w, %i) : (tensor<3x4xf32>, tensor<2x2x2xf32>, tensor<2x2xi32>) -> tensor<3x5xf32>
  func.return
}

// -----

// CHECK: found a mask of tensor<3x2xui8>, wanted [3, 1]
func.func @mask(%x: tensor<3x4xf32>, %v: tensor<5xf32>, %m: tensor<3x2xui8>) {
  %d = sparse.BitmapMatMul(%x, %v, %m) {K = 4 : i64} : (tensor<3x4xf32>, tensor<5xf32>, tensor<3x2xui8>) -> tensor<3x3xf32>
  func.return
}

// -----

// CHECK: found 5 inputs, wanted 4
func.func @depth(%x: tensor<3x5xf32>, %v: tensor<5xf32>, %m: tensor<3x1xui8>) {
  %d = sparse.BitmapMatMul(%x, %v, %m) {K = 4 : i64} : (tensor<3x5xf32>, tensor<5xf32>, tensor<3x1xui8>) -> tensor<3x3xf32>
  func.return
}

// -----

// CHECK: found axis 1, wanted -1 or -2
func.func @axis(%x: tensor<3x4xf32>, %v: tensor<5xf32>, %m: tensor<3x1xui8>) {
  %d = sparse.BitmapMatMul(%x, %v, %m) {K = 4 : i64, axis = 1 : i64} : (tensor<3x4xf32>, tensor<5xf32>, tensor<3x1xui8>) -> tensor<3x3xf32>
  func.return
}
