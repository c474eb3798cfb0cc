// RUN: sardonyx opt %s -p dce | filecheck %s

// CHECK-LABEL: @dead
// CHECK-NEXT: func.return %x
func.func @dead(%x: tensor<2xf32>) -> tensor<2xf32> {
  %a = onnx.Exp(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %b = onnx.Neg(%a) : (tensor<2xf32>) -> tensor<2xf32>
  %none = onnx.none : none
  %w = onnx.Constant #onnx.weight<"w"> : tensor<2xf32>
  func.return %x : tensor<2xf32>
}

// An op with regions goes if all that is in them may.
// CHECK-LABEL: @region
// CHECK-NEXT: func.return %x
func.func @region(%x: tensor<2xf32>, %p: tensor<i1>) -> tensor<2xf32> {
  %y = onnx.If(%p) ({
    onnx.yield(%x) : (tensor<2xf32>) -> ()
  }, {
    %b = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<i1>) -> tensor<2xf32>
  func.return %x : tensor<2xf32>
}

// Refused: one result of several is used; a value is used in a region only.
// CHECK-LABEL: @alive
// CHECK-NEXT: onnx.TopK
// CHECK-NEXT: onnx.Neg
// CHECK-NEXT: onnx.If
func.func @alive(%x: tensor<2xf32>, %k: tensor<1xi64>, %p: tensor<i1>) -> (tensor<?xi64>, tensor<2xf32>) {
  %v, %i = onnx.TopK(%x, %k) : (tensor<2xf32>, tensor<1xi64>) -> (tensor<?xf32>, tensor<?xi64>)
  %b = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32>
  %y = onnx.If(%p) ({
    onnx.yield(%x) : (tensor<2xf32>) -> ()
  }, {
    onnx.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<i1>) -> tensor<2xf32>
  func.return %i, %y : tensor<?xi64>, tensor<2xf32>
}
