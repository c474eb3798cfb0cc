// RUN: sardonyx opt %s -p pool-early,dce | filecheck %s

// The bias and the Relu are applied to what the windows leave.
// CHECK-LABEL: @biased
// CHECK: [[Y:%[a-z0-9_]+]] = onnx.Conv(%a, %w, {{.*}}) : (tensor<1x3x4x6xf32>, tensor<2x3x1x1xf32>, none) -> tensor<1x2x4x6xf32>
// CHECK: [[P:%[a-z0-9_]+]], {{.*}} = onnx.MaxPool([[Y]])
// CHECK: [[B:%[a-z0-9_]+]] = onnx.Constant dense<{{.*}}5.0{{.*}}6.0{{.*}}> : tensor<2x1x1xf32>
// CHECK: [[S:%[a-z0-9_]+]] = onnx.Add([[P]], [[B]])
// CHECK: onnx.Relu([[S]])
func.func @biased(%a: tensor<1x3x4x6xf32>) -> tensor<1x2x2x3xf32> {
  %w = onnx.Constant dense<[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]> : tensor<2x3x1x1xf32>
  %b = onnx.Constant dense<[5.0, 6.0]> : tensor<2xf32>
  %y = onnx.Conv(%a, %w, %b) : (tensor<1x3x4x6xf32>, tensor<2x3x1x1xf32>, tensor<2xf32>) -> tensor<1x2x4x6xf32>
  %r = onnx.Relu(%y) : (tensor<1x2x4x6xf32>) -> tensor<1x2x4x6xf32>
  %p, %i = onnx.MaxPool(%r) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x2x4x6xf32>) -> (tensor<1x2x2x3xf32>, none)
  func.return %p : tensor<1x2x2x3xf32>
}

// Refused: something else sees what the Relu gives.
// CHECK-LABEL: @seen
// CHECK: onnx.Relu
// CHECK: onnx.MaxPool
func.func @seen(%a: tensor<1x2x4x6xf32>) -> (tensor<1x2x2x3xf32>, tensor<1x2x4x6xf32>) {
  %r = onnx.Relu(%a) : (tensor<1x2x4x6xf32>) -> tensor<1x2x4x6xf32>
  %p, %i = onnx.MaxPool(%r) {kernel_shape = array<i64: 2, 2>, strides = array<i64: 2, 2>} : (tensor<1x2x4x6xf32>) -> (tensor<1x2x2x3xf32>, none)
  func.return %p, %r : tensor<1x2x2x3xf32>, tensor<1x2x4x6xf32>
}
