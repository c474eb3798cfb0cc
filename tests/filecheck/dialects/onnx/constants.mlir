// RUN: ROUNDTRIP

// Weights stand by reference, under any key; what they hold is in the store.
// CHECK-LABEL: @weights
func.func @weights() {
  // CHECK-NEXT: onnx.Constant #onnx.weight<"conv1.weight"> : tensor<64x3x7x7xf32>
  %w = onnx.Constant #onnx.weight<"conv1.weight"> : tensor<64x3x7x7xf32>
  // CHECK-NEXT: onnx.Constant #onnx.weight<"a \22b\22 \\xe9\\x0a"> : tensor<3xi4>
  %odd = onnx.Constant #onnx.weight<"a \"b\" \\xe9\\x0a"> : tensor<3xi4>
  func.return
}

// CHECK-LABEL: @numbers
func.func @numbers() {
  // CHECK-NEXT: dense<[1, -1]> : tensor<2xi64>
  %i = onnx.Constant dense<[1, -1]> : tensor<2xi64>
  // CHECK-NEXT: dense<[9223372036854775807, -9223372036854775808]> : tensor<2xi64>
  %wide = onnx.Constant dense<[9223372036854775807, -9223372036854775808]> : tensor<2xi64>
  // CHECK-NEXT: dense<[18446744073709551615]> : tensor<1xui64>
  %u = onnx.Constant dense<[18446744073709551615]> : tensor<1xui64>
  // CHECK-NEXT: dense<[7, -8]> : tensor<2xi4>
  %nibble = onnx.Constant dense<[7, -8]> : tensor<2xi4>
  // CHECK-NEXT: dense<[3, 0]> : tensor<2xui2>
  %crumb = onnx.Constant dense<[3, 0]> : tensor<2xui2>
  // CHECK-NEXT: dense<[true, false]> : tensor<2xi1>
  %b = onnx.Constant dense<[true, false]> : tensor<2xi1>
  // Elements stand in row-major order whatever the shape.
  // CHECK-NEXT: dense<[1, 2, 3, 4, 5, 6]> : tensor<2x3xi32>
  %grid = onnx.Constant dense<[1, 2, 3, 4, 5, 6]> : tensor<2x3xi32>
  // CHECK-NEXT: dense<[4]> : tensor<i8>
  %scalar = onnx.Constant dense<[4]> : tensor<i8>
  // CHECK-NEXT: dense<[]> : tensor<2x0xf32>
  %empty = onnx.Constant dense<[]> : tensor<2x0xf32>
  func.return
}

// CHECK-LABEL: @floats
func.func @floats() {
  // CHECK-NEXT: dense<[0.1, -0.0, 1.0e+30, 1.0e-45]> : tensor<4xf32>
  %f = onnx.Constant dense<[0.1, -0.0, 1.0e+30, 1.0e-45]> : tensor<4xf32>
  // What has no decimal text is written as its bits.
  // CHECK-NEXT: dense<[0x7f800000, 0xff800000, 0x7fc00000, 0x7fc00001]> : tensor<4xf32>
  %special = onnx.Constant dense<[0x7f800000, 0xff800000, 0x7fc00000, 0x7fc00001]> : tensor<4xf32>
  // CHECK-NEXT: dense<[0.1]> : tensor<1xf64>
  %d = onnx.Constant dense<[0.1]> : tensor<1xf64>
  // CHECK-NEXT: dense<[1.5, 0x7e00]> : tensor<2xf16>
  %h = onnx.Constant dense<[1.5, 0x7e00]> : tensor<2xf16>
  // CHECK-NEXT: dense<[0.10009765625, 0x7fc0]> : tensor<2xbf16>
  %bf = onnx.Constant dense<[0.1, 0x7fc0]> : tensor<2xbf16>
  // CHECK-NEXT: dense<[448.0, 0x7f]> : tensor<2xf8E4M3FN>
  %f8 = onnx.Constant dense<[448.0, 0x7f]> : tensor<2xf8E4M3FN>
  // CHECK-NEXT: dense<[6.0, -0.5]> : tensor<2xf4E2M1FN>
  %f4 = onnx.Constant dense<[6.0, -0.5]> : tensor<2xf4E2M1FN>
  // 1 + 2i: the imaginary part stands in the higher bits.
  // CHECK-NEXT: dense<[0x400000003f800000]> : tensor<1xcomplex<f32>>
  %c = onnx.Constant dense<[0x400000003f800000]> : tensor<1xcomplex<f32>>
  func.return
}

// CHECK-LABEL: @strings
func.func @strings() {
  // CHECK-NEXT: dense<["", "a\\x0ab", "\\xe9", "say \22hi\22"]> : tensor<4x!onnx.string>
  %s = onnx.Constant dense<["", "a\\x0ab", "\\xe9", "say \"hi\""]> : tensor<4x!onnx.string>
  func.return
}

// The long form, with the attribute that ONNX has for the value.
// CHECK-LABEL: @long
func.func @long() {
  // CHECK-NEXT: onnx.Constant() {value_ints = array<i64: 1, 2>} : () -> tensor<2xi64>
  %a = onnx.Constant() {value_ints = array<i64: 1, 2>} : () -> tensor<2xi64>
  // CHECK-NEXT: onnx.Constant() {value = #onnx.dense<[1] : tensor<1xi8>>, my.note = "kept"} : () -> tensor<1xi8>
  %b = onnx.Constant() {value = #onnx.dense<[1] : tensor<1xi8>>, my.note = "kept"} : () -> tensor<1xi8>
  func.return
}
