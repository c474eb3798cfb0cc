// RUN: sardonyx opt %s -p inline-regions | filecheck %s

// CHECK-LABEL: @main
// CHECK-NEXT: %[[c:.*]] = onnx.MatMul(%x, %w)
// CHECK-NEXT: %[[d:.*]] = onnx.Relu(%[[c]])
// CHECK-NEXT: func.return %[[d]]
func.func @main(%x: tensor<2x3xf32>, %w: tensor<3x4xf32>) -> tensor<2x4xf32> {
  %y = fusion.region(%x, %w) ({
  ^bb0(%a: tensor<2x3xf32>, %b: tensor<3x4xf32>):
    %c = onnx.MatMul(%a, %b) : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
    %d = onnx.Relu(%c) : (tensor<2x4xf32>) -> tensor<2x4xf32>
    fusion.yield(%d) : (tensor<2x4xf32>) -> ()
  }) : (tensor<2x3xf32>, tensor<3x4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
