// RUN: sardonyx opt %s -p fuse-activations,dce | filecheck %s

// CHECK-LABEL: @clipped
// CHECK: %[[zero:.*]] = onnx.Constant dense<[0.0]> : tensor<f32>
// CHECK-NEXT: %[[six:.*]] = onnx.Constant dense<[6.0]> : tensor<f32>
// CHECK: %y = onnx.Clip(%x, %[[zero]], %[[six]])
func.func @clipped(%x: tensor<2xf32>) -> tensor<2xf32> {
  %none = onnx.none : none
  %six = onnx.Constant dense<[6.0]> : tensor<f32>
  %r = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.Clip(%r, %none, %six) : (tensor<2xf32>, none, tensor<f32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// Refused: the rectified value has another use.
// CHECK-LABEL: @used
// CHECK: onnx.Relu
func.func @used(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %none = onnx.none : none
  %six = onnx.Constant dense<[6.0]> : tensor<f32>
  %r = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.Clip(%r, %none, %six) : (tensor<2xf32>, none, tensor<f32>) -> tensor<2xf32>
  func.return %y, %r : tensor<2xf32>, tensor<2xf32>
}
