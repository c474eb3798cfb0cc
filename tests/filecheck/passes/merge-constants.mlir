// RUN: sardonyx opt %s -p merge-constants,dce | filecheck %s

// CHECK-LABEL: @added
// CHECK: %[[sum:.*]] = onnx.Constant dense<[3.0]> : tensor<f32>
// CHECK-NEXT: %y = onnx.Add(%x, %[[sum]])
func.func @added(%x: tensor<2xf32>) -> tensor<2xf32> {
  %one = onnx.Constant dense<[1.0]> : tensor<f32>
  %two = onnx.Constant dense<[2.0]> : tensor<f32>
  %a = onnx.Add(%one, %x) : (tensor<f32>, tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.Add(%a, %two) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// Refused: the first sum has another use.
// CHECK-LABEL: @used
// CHECK-COUNT-2: onnx.Add
func.func @used(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<2xf32>) {
  %one = onnx.Constant dense<[1.0]> : tensor<f32>
  %a = onnx.Add(%x, %one) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %y = onnx.Add(%a, %one) : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  func.return %y, %a : tensor<2xf32>, tensor<2xf32>
}
