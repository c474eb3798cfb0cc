// RUN: sardonyx opt %s -p fold-constants,dce -o %t.mlir
// RUN: sardonyx opt %t.mlir -p remove-identities,fold-constants,dce | filecheck %s

// The weights of a text lie in a file beside it, and are there when it is read again.
// CHECK: onnx.weights = "weights.mlir.tmp.safetensors"
// CHECK: %sum = onnx.Constant dense<[20.0]> : tensor<f32>
func.func @main() -> tensor<f32> {
  %n = onnx.Constant dense<[20]> : tensor<1xi64>
  %y = onnx.ConstantOfShape(%n) {value = #onnx.dense<[1.0] : tensor<1xf32>>} : (tensor<1xi64>) -> tensor<20xf32>
  %none = onnx.none : none
  // The first run keeps a Dropout, which is no pure function.
  %d, %mask = onnx.Dropout(%y, %none, %none) : (tensor<20xf32>, none, none) -> (tensor<20xf32>, none)
  %sum = onnx.ReduceSum(%d, %none) {keepdims = 0 : i64} : (tensor<20xf32>, none) -> tensor<f32>
  func.return %sum : tensor<f32>
}
