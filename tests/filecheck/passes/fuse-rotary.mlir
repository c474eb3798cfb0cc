// RUN: sardonyx opt %s -p fuse-rotary,dce | filecheck %s

// CHECK-LABEL: @halves
// CHECK: %y = onnx.RotaryEmbedding(%x, %cos, %sin, {{%.*}}) : (tensor<1x2x3x4xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>, none) -> tensor<1x2x3x4xf32>
// CHECK-NEXT: func.return %y
func.func @halves(%x: tensor<1x2x3x4xf32>, %cos: tensor<1x3x2xf32>, %sin: tensor<1x3x2xf32>) -> tensor<1x2x3x4xf32> {
  %sizes = onnx.none : none
  %a, %b = onnx.Split(%x, %sizes) {axis = 3 : i64, num_outputs = 2 : i64} : (tensor<1x2x3x4xf32>, none) -> (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>)
  %ac = onnx.Mul(%a, %cos) : (tensor<1x2x3x2xf32>, tensor<1x3x2xf32>) -> tensor<1x2x3x2xf32>
  %bs = onnx.Mul(%sin, %b) : (tensor<1x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x3x2xf32>
  %bc = onnx.Mul(%b, %cos) : (tensor<1x2x3x2xf32>, tensor<1x3x2xf32>) -> tensor<1x2x3x2xf32>
  %as = onnx.Mul(%sin, %a) : (tensor<1x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x3x2xf32>
  %r = onnx.Sub(%ac, %bs) : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x3x2xf32>
  %i = onnx.Add(%bc, %as) : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x3x2xf32>
  %y = onnx.Concat(%r, %i) {axis = -1 : i64} : (tensor<1x2x3x2xf32>, tensor<1x2x3x2xf32>) -> tensor<1x2x3x4xf32>
  func.return %y : tensor<1x2x3x4xf32>
}
