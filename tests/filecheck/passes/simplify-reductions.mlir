// RUN: sardonyx opt %s -p simplify-reductions,dce | filecheck %s

// CHECK-LABEL: @pooled
// CHECK: %[[axes:.*]] = onnx.Constant dense<[2, 3]> : tensor<2xi64>
// CHECK-NEXT: %y = onnx.ReduceMean(%x, %[[axes]]) {keepdims = 0 : i64}
func.func @pooled(%x: tensor<1x2x4x4xf32>) -> tensor<1x2xf32> {
  %p = onnx.GlobalAveragePool(%x) : (tensor<1x2x4x4xf32>) -> tensor<1x2x1x1xf32>
  %y = onnx.Flatten(%p) : (tensor<1x2x1x1xf32>) -> tensor<1x2xf32>
  func.return %y : tensor<1x2xf32>
}

// Refused: the pooling has another use.
// CHECK-LABEL: @used
// CHECK: onnx.GlobalAveragePool
func.func @used(%x: tensor<1x2x4x4xf32>) -> (tensor<1x2xf32>, tensor<1x2x1x1xf32>) {
  %p = onnx.GlobalAveragePool(%x) : (tensor<1x2x4x4xf32>) -> tensor<1x2x1x1xf32>
  %y = onnx.Flatten(%p) : (tensor<1x2x1x1xf32>) -> tensor<1x2xf32>
  func.return %y, %p : tensor<1x2xf32>, tensor<1x2x1x1xf32>
}
