// RUN: sardonyx opt %s -p simplify-shapes,dce | filecheck %s

// CHECK-LABEL: @size
// CHECK-NEXT: %y = onnx.Shape(%x) {start = 1 : i64}
// CHECK-NEXT: func.return
func.func @size(%x: tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<1xi64> {
  %one = onnx.Constant dense<[1]> : tensor<1xi64>
  %r = onnx.Relu(%x) : (tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<?x?xf32, #onnx.dims<"b", "s">>
  %s = onnx.Shape(%r) : (tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<2xi64>
  %y = onnx.Gather(%s, %one) : (tensor<2xi64>, tensor<1xi64>) -> tensor<1xi64>
  func.return %y : tensor<1xi64>
}

// CHECK-LABEL: @expanded
// CHECK-NEXT: %y = onnx.Add(%z, %x)
func.func @expanded(%x: tensor<1x?xf32, #onnx.dims<1, "s">>, %z: tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<?x?xf32, #onnx.dims<"b", "s">> {
  %s = onnx.Shape(%z) : (tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<2xi64>
  %e = onnx.Expand(%x, %s) : (tensor<1x?xf32, #onnx.dims<1, "s">>, tensor<2xi64>) -> tensor<?x?xf32, #onnx.dims<"b", "s">>
  %y = onnx.Add(%z, %e) : (tensor<?x?xf32, #onnx.dims<"b", "s">>, tensor<?x?xf32, #onnx.dims<"b", "s">>) -> tensor<?x?xf32, #onnx.dims<"b", "s">>
  func.return %y : tensor<?x?xf32, #onnx.dims<"b", "s">>
}

// Refused: only the Expand gives the sum its rows.
// CHECK-LABEL: @needed
// CHECK: onnx.Expand
func.func @needed(%x: tensor<1x4xf32>, %z: tensor<1x4xf32>) -> tensor<2x4xf32> {
  %s = onnx.Constant dense<[2, 4]> : tensor<2xi64>
  %e = onnx.Expand(%x, %s) : (tensor<1x4xf32>, tensor<2xi64>) -> tensor<2x4xf32>
  %y = onnx.Add(%z, %e) : (tensor<1x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
