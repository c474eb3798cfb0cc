// RUN: ROUNDTRIP

// Every element type of ONNX has an MLIR type.
// CHECK-LABEL: @elements
func.func @elements() {
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi1>
  %e0 = onnx.Constant dense<[]> : tensor<0xi1>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi2>
  %e1 = onnx.Constant dense<[]> : tensor<0xi2>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi4>
  %e2 = onnx.Constant dense<[]> : tensor<0xi4>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi8>
  %e3 = onnx.Constant dense<[]> : tensor<0xi8>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi16>
  %e4 = onnx.Constant dense<[]> : tensor<0xi16>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi32>
  %e5 = onnx.Constant dense<[]> : tensor<0xi32>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xi64>
  %e6 = onnx.Constant dense<[]> : tensor<0xi64>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xui2>
  %e7 = onnx.Constant dense<[]> : tensor<0xui2>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xui4>
  %e8 = onnx.Constant dense<[]> : tensor<0xui4>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xui8>
  %e9 = onnx.Constant dense<[]> : tensor<0xui8>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xui16>
  %e10 = onnx.Constant dense<[]> : tensor<0xui16>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xui32>
  %e11 = onnx.Constant dense<[]> : tensor<0xui32>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xui64>
  %e12 = onnx.Constant dense<[]> : tensor<0xui64>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf16>
  %e13 = onnx.Constant dense<[]> : tensor<0xf16>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xbf16>
  %e14 = onnx.Constant dense<[]> : tensor<0xbf16>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf32>
  %e15 = onnx.Constant dense<[]> : tensor<0xf32>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf64>
  %e16 = onnx.Constant dense<[]> : tensor<0xf64>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf8E4M3FN>
  %e17 = onnx.Constant dense<[]> : tensor<0xf8E4M3FN>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf8E4M3FNUZ>
  %e18 = onnx.Constant dense<[]> : tensor<0xf8E4M3FNUZ>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf8E5M2>
  %e19 = onnx.Constant dense<[]> : tensor<0xf8E5M2>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf8E5M2FNUZ>
  %e20 = onnx.Constant dense<[]> : tensor<0xf8E5M2FNUZ>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf8E8M0FNU>
  %e21 = onnx.Constant dense<[]> : tensor<0xf8E8M0FNU>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xf4E2M1FN>
  %e22 = onnx.Constant dense<[]> : tensor<0xf4E2M1FN>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xcomplex<f32>>
  %e23 = onnx.Constant dense<[]> : tensor<0xcomplex<f32>>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0xcomplex<f64>>
  %e24 = onnx.Constant dense<[]> : tensor<0xcomplex<f64>>
  // CHECK-NEXT: onnx.Constant dense<[]> : tensor<0x!onnx.string>
  %e25 = onnx.Constant dense<[]> : tensor<0x!onnx.string>
  func.return
}

// No operator takes these two yet.
// CHECK-LABEL: @float6
// CHECK-SAME: %a: tensor<2xf6E2M3FN>, %b: tensor<2xf6E3M2FN>
func.func @float6(%a: tensor<2xf6E2M3FN>, %b: tensor<2xf6E3M2FN>) {
  func.return
}

// CHECK-LABEL: @operators
func.func @operators(%a: tensor<2xbf16>, %b: tensor<2xf8E4M3FN>, %c: tensor<2xi4>, %d: tensor<2xf4E2M1FN>, %e: tensor<2xui2>) {
  // CHECK-NEXT: onnx.Identity(%a) : (tensor<2xbf16>) -> tensor<2xbf16>
  %a2 = onnx.Identity(%a) : (tensor<2xbf16>) -> tensor<2xbf16>
  // CHECK-NEXT: onnx.Identity(%b) : (tensor<2xf8E4M3FN>) -> tensor<2xf8E4M3FN>
  %b2 = onnx.Identity(%b) : (tensor<2xf8E4M3FN>) -> tensor<2xf8E4M3FN>
  // CHECK-NEXT: onnx.Identity(%c) : (tensor<2xi4>) -> tensor<2xi4>
  %c2 = onnx.Identity(%c) : (tensor<2xi4>) -> tensor<2xi4>
  // CHECK-NEXT: onnx.Identity(%d) : (tensor<2xf4E2M1FN>) -> tensor<2xf4E2M1FN>
  %d2 = onnx.Identity(%d) : (tensor<2xf4E2M1FN>) -> tensor<2xf4E2M1FN>
  // CHECK-NEXT: onnx.Identity(%e) : (tensor<2xui2>) -> tensor<2xui2>
  %e2 = onnx.Identity(%e) : (tensor<2xui2>) -> tensor<2xui2>
  func.return
}

// The sizes of a dimension: a number, a name, an expression, nothing at all.
// CHECK-LABEL: @dims
// CHECK-SAME: %a: tensor<?x?x384xf32, #onnx.dims<"batch", "seq", 384>>
// CHECK-SAME: %b: tensor<?x?xf32, #onnx.dims<"?", "2*n + max(a, b)">>
// CHECK-SAME: %c: tensor<?x?xf32>
// CHECK-SAME: %d: tensor<*xf32>
// CHECK-SAME: %e: tensor<f32>
// CHECK-SAME: %f: tensor<0x3xf32>
func.func @dims(%a: tensor<?x?x384xf32, #onnx.dims<"batch", "seq", 384>>, %b: tensor<?x?xf32, #onnx.dims<"?", "2*n + max(a, b)">>, %c: tensor<?x?xf32>, %d: tensor<*xf32>, %e: tensor<f32>, %f: tensor<0x3xf32>) {
  // CHECK-NEXT: onnx.Relu(%a) : (tensor<?x?x384xf32, #onnx.dims<"batch", "seq", 384>>) -> tensor<?x?x384xf32, #onnx.dims<"batch", "seq", 384>>
  %relu = onnx.Relu(%a) : (tensor<?x?x384xf32, #onnx.dims<"batch", "seq", 384>>) -> tensor<?x?x384xf32, #onnx.dims<"batch", "seq", 384>>
  func.return
}

// A name that is no identifier is quoted within the expression.
// CHECK-LABEL: @names
// CHECK-SAME: #onnx.dims<"\22a b\22 + 1", "\22max\22", "\22\\\\u00e9\22">
func.func @names(%a: tensor<?x?x?xf32, #onnx.dims<"\"a b\" + 1", "\"max\"", "\"\\\\u00e9\"">>) {
  %relu = onnx.Relu(%a) : (tensor<?x?x?xf32, #onnx.dims<"\"a b\" + 1", "\"max\"", "\"\\\\u00e9\"">>) -> tensor<?x?x?xf32, #onnx.dims<"\"a b\" + 1", "\"max\"", "\"\\\\u00e9\"">>
  func.return
}

// CHECK-LABEL: @containers
// CHECK-SAME: %seq: !onnx.seq<tensor<?xf32>>
// CHECK-SAME: %map: !onnx.map<i64, tensor<f32>>
// CHECK-SAME: %named: !onnx.map<!onnx.string, tensor<f32>>
// CHECK-SAME: %maps: !onnx.seq<!onnx.map<i64, tensor<f32>>>
// CHECK-SAME: %opt: !onnx.optional<!onnx.seq<tensor<*xi64>>>
// CHECK-SAME: %sparse: !onnx.sparse_tensor<tensor<3x4xf32>>
// CHECK-SAME: %text: tensor<2x!onnx.string>
func.func @containers(%seq: !onnx.seq<tensor<?xf32>>, %map: !onnx.map<i64, tensor<f32>>, %named: !onnx.map<!onnx.string, tensor<f32>>, %maps: !onnx.seq<!onnx.map<i64, tensor<f32>>>, %opt: !onnx.optional<!onnx.seq<tensor<*xi64>>>, %sparse: !onnx.sparse_tensor<tensor<3x4xf32>>, %text: tensor<2x!onnx.string>) {
  // CHECK-NEXT: onnx.SequenceLength(%seq) : (!onnx.seq<tensor<?xf32>>) -> tensor<i64>
  %n = onnx.SequenceLength(%seq) : (!onnx.seq<tensor<?xf32>>) -> tensor<i64>
  // CHECK-NEXT: onnx_ml.CastMap(%map) {map_form = "DENSE"} : (!onnx.map<i64, tensor<f32>>) -> tensor<1x?xf32>
  %cast = onnx_ml.CastMap(%map) {map_form = "DENSE"} : (!onnx.map<i64, tensor<f32>>) -> tensor<1x?xf32>
  // CHECK-NEXT: onnx.OptionalGetElement(%opt) : (!onnx.optional<!onnx.seq<tensor<*xi64>>>) -> !onnx.seq<tensor<*xi64>>
  %got = onnx.OptionalGetElement(%opt) : (!onnx.optional<!onnx.seq<tensor<*xi64>>>) -> !onnx.seq<tensor<*xi64>>
  // CHECK-NEXT: onnx.StringConcat(%text, %text)
  %both = onnx.StringConcat(%text, %text) : (tensor<2x!onnx.string>, tensor<2x!onnx.string>) -> tensor<2x!onnx.string>
  // A type is an attribute's value, too.
  // CHECK: onnx.Optional(%{{.*}}) {type = tensor<2xf32>} : (none) -> !onnx.optional<tensor<2xf32>>
  %none = onnx.none : none
  %empty = onnx.Optional(%none) {type = tensor<2xf32>} : (none) -> !onnx.optional<tensor<2xf32>>
  func.return
}
