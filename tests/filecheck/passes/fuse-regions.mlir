// RUN: sardonyx opt %s -p fuse-regions | filecheck %s

// CHECK-LABEL: @residual
// CHECK-NEXT: %y = fusion.region(%x, %w, %other) ({
// CHECK-NEXT: ^bb0(%[[x:.*]]: tensor<1x1x4xf32>, %[[w:.*]]: tensor<1x1x1xf32>, %[[other:.*]]: tensor<1x1x4xf32>):
// CHECK-NEXT:   onnx.none
// CHECK-NEXT:   %[[c:.*]] = onnx.Conv(%[[x]], %[[w]], %{{.*}})
// CHECK-NEXT:   %[[s:.*]] = onnx.Add(%[[c]], %[[other]])
// CHECK-NEXT:   %[[y:.*]] = onnx.Relu(%[[s]])
// CHECK-NEXT:   fusion.yield(%[[y]])
// CHECK-NEXT: })
// CHECK-NEXT: func.return %y
func.func @residual(%x: tensor<1x1x4xf32>, %w: tensor<1x1x1xf32>, %other: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %s = onnx.Add(%c, %other) : (tensor<1x1x4xf32>, tensor<1x1x4xf32>) -> tensor<1x1x4xf32>
  %y = onnx.Relu(%s) : (tensor<1x1x4xf32>) -> tensor<1x1x4xf32>
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the product is an output too.
// CHECK-LABEL: @shared
// CHECK-NOT: fusion.region
func.func @shared(%x: tensor<2x2xf32>, %w: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %c = onnx.MatMul(%x, %w) : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %y = onnx.Relu(%c) : (tensor<2x2xf32>) -> tensor<2x2xf32>
  func.return %c, %y : tensor<2x2xf32>, tensor<2x2xf32>
}
