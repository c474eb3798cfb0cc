// RUN: sardonyx opt %s -p 'encode-sparse{goal="bytes"},dce' | filecheck %s

// The first two outputs leave out inputs 1 and 3, the others 0 and 2: bits 5 and 10.
// CHECK-LABEL: @product
// CHECK-DAG: %w = onnx.Constant dense<[1.0, 5.0, 2.0, 6.0, 3.0, 7.0, 4.0, 8.0]> : tensor<8xf32>
// CHECK-DAG: onnx.Constant dense<[5, 5, 10, 10]> : tensor<4x1xui8>
// CHECK: sparse.BitmapMatMul(%x, %w, %{{.*}}) {K = 4 : i64, sparse.encoding = #sparse.encoding<nm 2 4>} : (tensor<3x4xf32>, tensor<8xf32>, tensor<4x1xui8>) -> tensor<3x4xf32>
func.func @product(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %w = onnx.Constant dense<[1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 6.0, 0.0, 0.0, 0.0, 0.0, 7.0, 8.0]> : tensor<4x4xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x4xf32>, tensor<4x4xf32>) -> tensor<3x4xf32>
  func.return %y : tensor<3x4xf32>
}
