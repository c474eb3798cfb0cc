// RUN: sardonyx opt %s -p inline-control-flow,dce | filecheck %s

// CHECK-LABEL: @taken
// CHECK-NOT: onnx.If
// CHECK: %[[y:.*]] = onnx.Neg(%x)
// CHECK-NEXT: func.return %[[y]]
func.func @taken(%x: tensor<2xf32>) -> tensor<2xf32> {
  %c = onnx.Constant dense<[false]> : tensor<i1>
  %y = onnx.If(%c) ({
    %n = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%n) : (tensor<2xf32>) -> ()
  }, {
    %r = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%r) : (tensor<2xf32>) -> ()
  }) : (tensor<i1>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// Refused: the condition is an argument.
// CHECK-LABEL: @asked
// CHECK: onnx.If
func.func @asked(%x: tensor<2xf32>, %c: tensor<i1>) -> tensor<2xf32> {
  %y = onnx.If(%c) ({
    onnx.yield(%x) : (tensor<2xf32>) -> ()
  }, {
    %r = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%r) : (tensor<2xf32>) -> ()
  }) : (tensor<i1>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}
