// RUN: ROUNDTRIP

// CHECK-LABEL: @schemes
// CHECK-SAME: a = #quant.scheme<int8, axis 1>
// CHECK-SAME: b = #quant.scheme<uint4 affine, group 0 32>
// CHECK-SAME: c = #quant.format<e4m3>
// CHECK-SAME: d = #quant.per<tensor>
func.func @schemes() attributes {a = #quant.scheme<int8, axis 1>, b = #quant.scheme<uint4 affine, group 0 32>, c = #quant.format<e4m3>, d = #quant.per<tensor>} {
  func.return
}
