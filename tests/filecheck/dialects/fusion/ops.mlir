// RUN: ROUNDTRIP

// CHECK-LABEL: @main
func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>) -> tensor<2x4xf32> {
  // CHECK: %y = fusion.region(%x, %w) {my.note = 1 : i64} ({
  // CHECK-NEXT: ^bb0(%[[a:.*]]: tensor<2x3xf32>, %[[b:.*]]: tensor<3x4xf32>):
  // CHECK-NEXT:   %[[low:.*]] = onnx.Constant dense<[0.0]> : tensor<f32>
  // CHECK-NEXT:   %[[none:.*]] = onnx.none : none
  // CHECK-NEXT:   %[[c:.*]] = onnx.MatMul(%[[a]], %[[b]])
  // CHECK-NEXT:   %[[d:.*]] = onnx.Clip(%[[c]], %[[low]], %[[none]])
  // CHECK-NEXT:   fusion.yield(%[[d]]) : (tensor<2x4xf32>) -> ()
  // CHECK-NEXT: }) : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  %y = fusion.region(%x, %w) {my.note = 1 : i64} ({
  ^bb0(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>):
    %low = onnx.Constant dense<[0.0]> : tensor<f32>
    %none = onnx.none : none
    %c = onnx.MatMul(%a, %b) : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
    %d = onnx.Clip(%c, %low, %none) : (tensor<2x4xf32>, tensor<f32>, none) -> tensor<2x4xf32>
    fusion.yield(%d) : (tensor<2x4xf32>) -> ()
  }) : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
