// RUN: xdsl-opt %s -p remove-identities,cse | filecheck %s
// RUN: xdsl-opt %s -p fold-constants | filecheck %s --check-prefix DECLINED

// xDSL's own driver finds our dialects and passes. Its context has no store, and
// without one folding declines.
// CHECK-LABEL: @main
// CHECK-NOT: onnx.Identity
// CHECK: onnx_ml.Normalizer
// DECLINED: onnx.Add(%a, %a)
func.func @main(%x: tensor<2xf32>) -> (tensor<2xf32>, tensor<1xi64>) {
  %a = onnx.Constant dense<[1]> : tensor<1xi64>
  %b = onnx.Add(%a, %a) : (tensor<1xi64>, tensor<1xi64>) -> tensor<1xi64>
  %i = onnx.Identity(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %y = onnx_ml.Normalizer(%i) {norm = "L2"} : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y, %b : tensor<2xf32>, tensor<1xi64>
}
