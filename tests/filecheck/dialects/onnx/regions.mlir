// RUN: ROUNDTRIP

// CHECK-LABEL: @branches
func.func @branches(%p: tensor<i1>, %x: tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">> {
  // The regions stand in the schema's order: else, then. The generic yield is read too.
  // CHECK-NEXT: %y = onnx.If(%p) ({
  // CHECK-NEXT:   %e = onnx.Neg(%x)
  // CHECK-NEXT:   onnx.yield(%e)
  // CHECK-NEXT: }, {
  // CHECK-NEXT:   %t = onnx.Abs(%x)
  // CHECK-NEXT:   onnx.yield(%t)
  // CHECK-NEXT: }) : (tensor<i1>) -> tensor<?xf32, #onnx.dims<"n">>
  %y = onnx.If(%p) ({
    %e = onnx.Neg(%x) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
    onnx.yield(%e) : (tensor<?xf32, #onnx.dims<"n">>) -> ()
  }, {
    %t = onnx.Abs(%x) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
    "onnx.yield"(%t) : (tensor<?xf32, #onnx.dims<"n">>) -> ()
  }) : (tensor<i1>) -> tensor<?xf32, #onnx.dims<"n">>
  func.return %y : tensor<?xf32, #onnx.dims<"n">>
}

// CHECK-LABEL: @loop
func.func @loop(%n: tensor<i64>, %x: tensor<2xf32>) {
  %none = onnx.none : none
  // CHECK: %last, %all = onnx.Loop(%n, %none, %x) ({
  // CHECK-NEXT: ^{{.*}}(%i: tensor<i64>, %c: tensor<i1>, %s: tensor<2xf32>):
  // A region sees the values around it.
  // CHECK-NEXT: %next = onnx.Add(%s, %x)
  // CHECK-NEXT: onnx.yield(%c, %next, %next)
  // CHECK-NEXT: }) : (tensor<i64>, none, tensor<2xf32>) -> (tensor<2xf32>, tensor<?x2xf32>)
  %last, %all = onnx.Loop(%n, %none, %x) ({
  ^bb0(%i: tensor<i64>, %c: tensor<i1>, %s: tensor<2xf32>):
    %next = onnx.Add(%s, %x) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%c, %next, %next) : (tensor<i1>, tensor<2xf32>, tensor<2xf32>) -> ()
  }) : (tensor<i64>, none, tensor<2xf32>) -> (tensor<2xf32>, tensor<?x2xf32>)
  func.return
}

// CHECK-LABEL: @scan
func.func @scan(%x: tensor<5x2xf32>, %s: tensor<2xf32>) {
  // CHECK-NEXT: onnx.Scan(%s, %x) {num_scan_inputs = 1 : i64} ({
  %last, %all = onnx.Scan(%s, %x) {num_scan_inputs = 1 : i64} ({
  ^bb0(%state: tensor<2xf32>, %row: tensor<2xf32>):
    %sum = onnx.Add(%state, %row) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%sum, %sum) : (tensor<2xf32>, tensor<2xf32>) -> ()
  }) : (tensor<2xf32>, tensor<5x2xf32>) -> (tensor<2xf32>, tensor<5x2xf32>)
  func.return
}
