// RUN: sardonyx opt %s -p 'specialize-dims{dims="batch=2"}' | filecheck %s
// RUN: sardonyx opt %s -p 'specialize-dims{dims="batch=2","seq=3"}' | filecheck %s --check-prefix BOTH
// RUN: not sardonyx opt %s -p 'specialize-dims{dims="bach=2"}' 2>&1 | filecheck %s --check-prefix UNKNOWN
// RUN: not sardonyx opt %s -p 'specialize-dims{dims="batch"}' 2>&1 | filecheck %s --check-prefix FORM

// UNKNOWN: found dimension 'bach', wanted batch, seq
// FORM: found dimension 'batch', wanted NAME=SIZE

// CHECK: func.func @main(%x: tensor<2x?x4xf32, #onnx.dims<2, "seq", 4>>) -> tensor<?x4xf32, #onnx.dims<"2*seq", 4>>
// BOTH: func.func @main(%x: tensor<2x3x4xf32>) -> tensor<6x4xf32>
func.func @main(%x: tensor<?x?x4xf32, #onnx.dims<"batch", "seq", 4>>) -> tensor<?x4xf32, #onnx.dims<"batch*seq", 4>> {
  %shape = onnx.Constant dense<[-1, 4]> : tensor<2xi64>
  // What follows from the sizes is inferred again.
  // CHECK: onnx.Reshape(%x, %shape) : ({{.*}}) -> tensor<?x4xf32, #onnx.dims<"2*seq", 4>>
  // BOTH: onnx.Reshape(%x, %shape) : (tensor<2x3x4xf32>, tensor<2xi64>) -> tensor<6x4xf32>
  %y = onnx.Reshape(%x, %shape) : (tensor<?x?x4xf32, #onnx.dims<"batch", "seq", 4>>, tensor<2xi64>) -> tensor<?x4xf32, #onnx.dims<"batch*seq", 4>>
  func.return %y : tensor<?x4xf32, #onnx.dims<"batch*seq", 4>>
}
