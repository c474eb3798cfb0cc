// RUN: sardonyx opt %s -p 'prune{pattern="2:4"},dce' | filecheck %s --check-prefix NM
// RUN: sardonyx opt %s -p 'prune{pattern="group-shared" group=2},dce' | filecheck %s --check-prefix GROUP
// RUN: sardonyx opt %s -p 'regroup-outputs{group=2},dce' | filecheck %s --check-prefix ORDER

// Each output keeps the two largest of its four inputs.
// NM: %w = onnx.Constant dense<[4.0, 0.0, 5.0, 0.0, 3.0, 0.0, 6.0, 0.0, 0.0, 7.0, 0.0, 8.0, 0.0, 9.0, 0.0, 7.0]>
// NM: onnx.MatMul(%x, %w)

// Two outputs side by side keep the same: here those lose much.
// GROUP: %w = onnx.Constant dense<[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 7.0, 1.0, 8.0, 2.0, 9.0, 2.0, 7.0]>

// Reordered, outputs that use the same inputs stand together; a Gather puts them back.
// ORDER: %w = onnx.Constant dense<[4.0, 5.0, 1.0, 2.0, 3.0, 6.0, 2.0, 1.0, 1.0, 1.0, 7.0, 8.0, 2.0, 2.0, 9.0, 7.0]>
// ORDER: %y = onnx.MatMul(%x, %w)
// ORDER: dense<[0, 2, 1, 3]>
// ORDER: onnx.Gather
func.func @product(%x: tensor<3x4xf32>) -> tensor<3x4xf32> {
  %w = onnx.Constant dense<[4.0, 1.0, 5.0, 2.0, 3.0, 2.0, 6.0, 1.0, 1.0, 7.0, 1.0, 8.0, 2.0, 9.0, 2.0, 7.0]> : tensor<4x4xf32>
  %y = onnx.MatMul(%x, %w) : (tensor<3x4xf32>, tensor<4x4xf32>) -> tensor<3x4xf32>
  func.return %y : tensor<3x4xf32>
}
