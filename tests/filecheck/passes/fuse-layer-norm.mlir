// RUN: sardonyx opt %s -p fuse-layer-norm,dce | filecheck %s

// CHECK-LABEL: @rms
// CHECK: %y = onnx.RMSNormalization(%x, %w) {axis = -1 : i64, epsilon = {{.*}} : f32} : (tensor<?x3xf32, #onnx.dims<"n", 3>>, tensor<3xf32>) -> tensor<?x3xf32, #onnx.dims<"n", 3>>
// CHECK-NEXT: func.return %y
func.func @rms(%x: tensor<?x3xf32, #onnx.dims<"n", 3>>) -> tensor<?x3xf32, #onnx.dims<"n", 3>> {
  %w = onnx.Constant dense<[1.0, 2.0, 3.0]> : tensor<3xf32>
  %axes = onnx.Constant dense<[-1]> : tensor<1xi64>
  %two = onnx.Constant dense<[2.0]> : tensor<f32>
  %epsilon = onnx.Constant dense<[0.001]> : tensor<f32>
  %s = onnx.Pow(%x, %two) : (tensor<?x3xf32, #onnx.dims<"n", 3>>, tensor<f32>) -> tensor<?x3xf32, #onnx.dims<"n", 3>>
  %m = onnx.ReduceMean(%s, %axes) : (tensor<?x3xf32, #onnx.dims<"n", 3>>, tensor<1xi64>) -> tensor<?x1xf32, #onnx.dims<"n", 1>>
  %t = onnx.Add(%m, %epsilon) : (tensor<?x1xf32, #onnx.dims<"n", 1>>, tensor<f32>) -> tensor<?x1xf32, #onnx.dims<"n", 1>>
  %r = onnx.Sqrt(%t) : (tensor<?x1xf32, #onnx.dims<"n", 1>>) -> tensor<?x1xf32, #onnx.dims<"n", 1>>
  %p = onnx.Mul(%w, %x) : (tensor<3xf32>, tensor<?x3xf32, #onnx.dims<"n", 3>>) -> tensor<?x3xf32, #onnx.dims<"n", 3>>
  %y = onnx.Div(%p, %r) : (tensor<?x3xf32, #onnx.dims<"n", 3>>, tensor<?x1xf32, #onnx.dims<"n", 1>>) -> tensor<?x3xf32, #onnx.dims<"n", 3>>
  func.return %y : tensor<?x3xf32, #onnx.dims<"n", 3>>
}

// A bias that is added to a normalization of channels is its own.
// CHECK-LABEL: @bias
// CHECK: %y = onnx.InstanceNormalization(%x, {{%.*}}, %c) : (tensor<1x2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4xf32>
// CHECK-NEXT: func.return %y
func.func @bias(%x: tensor<1x2x4xf32>) -> tensor<1x2x4xf32> {
  %s = onnx.Constant dense<[1.0, 2.0]> : tensor<2xf32>
  %b = onnx.Constant dense<[3.0, 4.0]> : tensor<2xf32>
  %c = onnx.Constant dense<[5.0, 6.0]> : tensor<2x1xf32>
  %n = onnx.InstanceNormalization(%x, %s, %b) : (tensor<1x2x4xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4xf32>
  %y = onnx.Add(%n, %c) : (tensor<1x2x4xf32>, tensor<2x1xf32>) -> tensor<1x2x4xf32>
  func.return %y : tensor<1x2x4xf32>
}

// Refused: the mean is of another value.
// CHECK-LABEL: @other
// CHECK-NOT: Normalization
func.func @other(%x: tensor<2x3xf32>, %z: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %axes = onnx.Constant dense<[-1]> : tensor<1xi64>
  %s = onnx.Mul(%z, %z) : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %m = onnx.ReduceMean(%s, %axes) : (tensor<2x3xf32>, tensor<1xi64>) -> tensor<2x1xf32>
  %r = onnx.Sqrt(%m) : (tensor<2x1xf32>) -> tensor<2x1xf32>
  %y = onnx.Div(%x, %r) : (tensor<2x3xf32>, tensor<2x1xf32>) -> tensor<2x3xf32>
  func.return %y : tensor<2x3xf32>
}
