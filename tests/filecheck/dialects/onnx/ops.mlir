// RUN: ROUNDTRIP

// Attributes of every kind, under ONNX's names.
// CHECK-LABEL: @attributes
func.func @attributes(%x: tensor<1x2x8x8xf32>, %w: tensor<4x2x3x3xf32>, %s: tensor<2x!onnx.string>) {
  %none = onnx.none : none
  // CHECK: onnx.Conv(%x, %w, %{{.*}}) {pads = array<i64: 1, 1, 1, 1>, auto_pad = "NOTSET", group = 1 : i64} : (tensor<1x2x8x8xf32>, tensor<4x2x3x3xf32>, none) -> tensor<1x4x8x8xf32>
  %conv = onnx.Conv(%x, %w, %none) {pads = array<i64: 1, 1, 1, 1>, auto_pad = "NOTSET", group = 1 : i64} : (tensor<1x2x8x8xf32>, tensor<4x2x3x3xf32>, none) -> tensor<1x4x8x8xf32>
  // CHECK-NEXT: onnx.LeakyRelu(%{{.*}}) {alpha = 5.000000e-01 : f32}
  %leaky = onnx.LeakyRelu(%conv) {alpha = 0.5 : f32} : (tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // CHECK-NEXT: onnx.StringNormalizer(%s) {case_change_action = "LOWER", stopwords = ["a\\nb", "\\xe9", ""]}
  %norm = onnx.StringNormalizer(%s) {case_change_action = "LOWER", stopwords = ["a\\nb", "\\xe9", ""]} : (tensor<2x!onnx.string>) -> tensor<2x!onnx.string>
  // CHECK: onnx.ConstantOfShape(%{{.*}}) {value = #onnx.dense<[7] : tensor<1xi64>>}
  %shape = onnx.Shape(%x) : (tensor<1x2x8x8xf32>) -> tensor<4xi64>
  %fill = onnx.ConstantOfShape(%shape) {value = #onnx.dense<[7] : tensor<1xi64>>} : (tensor<4xi64>) -> tensor<1x2x8x8xi64>
  // CHECK: onnx_ml.Scaler(%x) {offset = array<f32: 5.000000e-01>, scale = array<f32: 2.000000e+00>}
  %ml = onnx_ml.Scaler(%x) {offset = array<f32: 0.5>, scale = array<f32: 2.0>} : (tensor<1x2x8x8xf32>) -> tensor<1x2x8x8xf32>
  func.return
}

// An attribute that is no property of the operator stays beside its properties.
// CHECK-LABEL: @extra
// CHECK: onnx.Elu(%x) {alpha = 2.000000e+00 : f32, my.note = "kept"}
func.func @extra(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = onnx.Elu(%x) {alpha = 2.0 : f32, my.note = "kept"} : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// CHECK-LABEL: @absent
func.func @absent(%q: tensor<5x2x3xf32>, %w: tensor<1x16x3xf32>, %r: tensor<1x16x4xf32>, %x: tensor<4xf32>) {
  // CHECK-NEXT: %[[NONE:.*]] = onnx.none : none
  %none = onnx.none : none
  // Absent outputs and inputs in the middle keep their places.
  // CHECK-NEXT: onnx.LSTM(%q, %w, %r, %[[NONE]], %[[NONE]], %[[NONE]], %[[NONE]], %[[NONE]]) {hidden_size = 4 : i64} : ({{.*}}, none, none, none, none, none) -> (none, tensor<1x2x4xf32>, none)
  %a, %last, %b = onnx.LSTM(%q, %w, %r, %none, %none, %none, %none, %none) {hidden_size = 4 : i64} : (tensor<5x2x3xf32>, tensor<1x16x3xf32>, tensor<1x16x4xf32>, none, none, none, none, none) -> (none, tensor<1x2x4xf32>, none)
  // CHECK: onnx.Clip(%x, %[[NONE]], %{{.*}})
  %max = onnx.Constant dense<[1.0]> : tensor<f32>
  %clip = onnx.Clip(%x, %none, %max) : (tensor<4xf32>, none, tensor<f32>) -> tensor<4xf32>
  func.return
}

// CHECK-LABEL: @variadic
func.func @variadic(%x: tensor<2xf32>, %y: tensor<3xf32>) {
  // CHECK-NEXT: onnx.Concat(%x, %y, %x) {axis = 0 : i64} : (tensor<2xf32>, tensor<3xf32>, tensor<2xf32>) -> tensor<7xf32>
  %all = onnx.Concat(%x, %y, %x) {axis = 0 : i64} : (tensor<2xf32>, tensor<3xf32>, tensor<2xf32>) -> tensor<7xf32>
  // CHECK: %{{.*}}, %{{.*}}, %{{.*}} = onnx.Split(%{{.*}}, %{{.*}}) {num_outputs = 3 : i64}
  %none = onnx.none : none
  %a, %b, %c = onnx.Split(%all, %none) {num_outputs = 3 : i64} : (tensor<7xf32>, none) -> (tensor<3xf32>, tensor<3xf32>, tensor<1xf32>)
  // CHECK: onnx.SequenceEmpty() : () -> !onnx.seq<tensor<*xf32>>
  %empty = onnx.SequenceEmpty() : () -> !onnx.seq<tensor<*xf32>>
  func.return
}

// The generic form of an op is read too.
// CHECK-LABEL: @generic
// CHECK: onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>
func.func @generic(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = "onnx.Relu"(%x) : (tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}
