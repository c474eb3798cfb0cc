// RUN: sardonyx opt %s -p 'spare{nodes="keep" passes="remove-neutral"}' | filecheck %s
// RUN: sardonyx opt %s -p 'spare{nodes="gone" passes="remove-neutral"}' | filecheck %s --check-prefix ALL

// The product of the node "keep" stays, that of the other goes.
// CHECK-LABEL: @two
// CHECK: %[[A:.*]] = onnx.Mul(%x, %{{.*}})
// CHECK-NEXT: %y = onnx.Relu(%[[A]])
// ALL-LABEL: @two
// ALL-NOT: onnx.Mul
func.func @two(%x: tensor<2xf32>) -> tensor<2xf32> {
  %one = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %a = onnx.Mul(%x, %one) : (tensor<2xf32>, tensor<1xf32>) -> tensor<2xf32> loc("keep")
  %b = onnx.Mul(%a, %one) : (tensor<2xf32>, tensor<1xf32>) -> tensor<2xf32> loc("other")
  %y = onnx.Relu(%b) : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}
