// RUN: sardonyx opt %s -p fuse-attention,dce | filecheck %s

// The scale is that of heads of 4 by itself.
// CHECK-LABEL: @masked
// CHECK: %y, {{.*}} = onnx.Attention(%q, %k, %v, %m, {{.*}}) : (tensor<?x2x3x4xf32, #onnx.dims<"n", 2, 3, 4>>,
// CHECK-NEXT: func.return %y
func.func @masked(%q: tensor<?x2x3x4xf32, #onnx.dims<"n", 2, 3, 4>>, %k: tensor<?x2x5x4xf32, #onnx.dims<"n", 2, 5, 4>>, %v: tensor<?x2x5x4xf32, #onnx.dims<"n", 2, 5, 4>>, %m: tensor<3x5xf32>) -> tensor<?x2x3x4xf32, #onnx.dims<"n", 2, 3, 4>> {
  %scale = onnx.Constant dense<[2.0]> : tensor<f32>
  %t = onnx.Transpose(%k) {perm = array<i64: 0, 1, 3, 2>} : (tensor<?x2x5x4xf32, #onnx.dims<"n", 2, 5, 4>>) -> tensor<?x2x4x5xf32, #onnx.dims<"n", 2, 4, 5>>
  %s = onnx.MatMul(%q, %t) : (tensor<?x2x3x4xf32, #onnx.dims<"n", 2, 3, 4>>, tensor<?x2x4x5xf32, #onnx.dims<"n", 2, 4, 5>>) -> tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>
  %d = onnx.Div(%s, %scale) : (tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>, tensor<f32>) -> tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>
  %a = onnx.Add(%m, %d) : (tensor<3x5xf32>, tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>) -> tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>
  %w = onnx.Softmax(%a) : (tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>) -> tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>
  %y = onnx.MatMul(%w, %v) : (tensor<?x2x3x5xf32, #onnx.dims<"n", 2, 3, 5>>, tensor<?x2x5x4xf32, #onnx.dims<"n", 2, 5, 4>>) -> tensor<?x2x3x4xf32, #onnx.dims<"n", 2, 3, 4>>
  func.return %y : tensor<?x2x3x4xf32, #onnx.dims<"n", 2, 3, 4>>
}

// CHECK-LABEL: @causal
// CHECK: onnx.Attention(%q, %k, %v, {{.*}}) {is_causal = 1 : i64} : (tensor<1x1x2x4xf32>,
func.func @causal(%q: tensor<1x1x2x4xf32>, %k: tensor<1x1x2x4xf32>, %v: tensor<1x1x2x4xf32>) -> tensor<1x1x2x4xf32> {
  %none = onnx.none : none
  %m = onnx.Constant dense<[0.0, -1.0e+09, 0.0, 0.0]> : tensor<2x2xf32>
  %y, %pk, %pv, %s = onnx.Attention(%q, %k, %v, %m, %none, %none, %none) : (tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32>, tensor<1x1x2x4xf32>, tensor<2x2xf32>, none, none, none) -> (tensor<1x1x2x4xf32>, none, none, none)
  func.return %y : tensor<1x1x2x4xf32>
}

// Refused: the softmax is over the queries.
// CHECK-LABEL: @queries
// CHECK-NOT: onnx.Attention
func.func @queries(%q: tensor<1x1x2x4xf32>, %k: tensor<1x1x4x2xf32>, %v: tensor<1x1x2x4xf32>) -> tensor<1x1x2x4xf32> {
  %s = onnx.MatMul(%q, %k) : (tensor<1x1x2x4xf32>, tensor<1x1x4x2xf32>) -> tensor<1x1x2x2xf32>
  %w = onnx.Softmax(%s) {axis = 2 : i64} : (tensor<1x1x2x2xf32>) -> tensor<1x1x2x2xf32>
  %y = onnx.MatMul(%w, %v) : (tensor<1x1x2x2xf32>, tensor<1x1x2x4xf32>) -> tensor<1x1x2x4xf32>
  func.return %y : tensor<1x1x2x4xf32>
}
