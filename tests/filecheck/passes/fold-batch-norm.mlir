// RUN: sardonyx opt %s -p fold-batch-norm,dce | filecheck %s

// The offset becomes the bias of a convolution that had none.
// CHECK-LABEL: @folded
// CHECK-NOT: onnx.BatchNormalization
// CHECK: %w = onnx.Constant #onnx.weight<"w.folded"> : tensor<1x1x1xf32>
// CHECK-NEXT: %o = onnx.Constant #onnx.weight<"o.folded"> : tensor<1xf32>
// CHECK-NEXT: %y = onnx.Conv(%x, %w, %o) {group = 1 : i64} : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, tensor<1xf32>) -> tensor<1x1x4xf32>
// CHECK-NOT: onnx.BatchNormalization
func.func @folded(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) {group = 1 : i64} : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %s = onnx.Constant dense<[6.0]> : tensor<1xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, none, none)
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the convolution has another use.
// CHECK-LABEL: @used
// CHECK: onnx.BatchNormalization
func.func @used(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %s = onnx.Constant dense<[6.0]> : tensor<1xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, none, none)
  %z = onnx.Add(%y, %c) : (tensor<1x1x4xf32>, tensor<1x1x4xf32>) -> tensor<1x1x4xf32>
  func.return %z : tensor<1x1x4xf32>
}

// Refused: the producer is not a convolution.
// CHECK-LABEL: @producer
// CHECK: onnx.BatchNormalization
func.func @producer(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %c = onnx.Relu(%x) : (tensor<1x1x4xf32>) -> tensor<1x1x4xf32>
  %s = onnx.Constant dense<[6.0]> : tensor<1xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, none, none)
  func.return %y : tensor<1x1x4xf32>
}

// Refused: there is no producer.
// CHECK-LABEL: @argument
// CHECK: onnx.BatchNormalization
func.func @argument(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %s = onnx.Constant dense<[6.0]> : tensor<1xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%x, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, none, none)
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the normalization is in training mode.
// CHECK-LABEL: @training
// CHECK: onnx.BatchNormalization
func.func @training(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %s = onnx.Constant dense<[6.0]> : tensor<1xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {training_mode = 1 : i64} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>)
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the filter is not constant.
// CHECK-LABEL: @computed
// CHECK: onnx.BatchNormalization
func.func @computed(%x: tensor<1x1x4xf32>, %w: tensor<1x1x1xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %s = onnx.Constant dense<[6.0]> : tensor<1xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, none, none)
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the scale is not constant.
// CHECK-LABEL: @scale
// CHECK: onnx.BatchNormalization
func.func @scale(%x: tensor<1x1x4xf32>, %s: tensor<1xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf32>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf32>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf32>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>) -> (tensor<1x1x4xf32>, none, none)
  func.return %y : tensor<1x1x4xf32>
}

// Refused: the parameters have different element types.
// CHECK-LABEL: @mixed
// CHECK: onnx.BatchNormalization
func.func @mixed(%x: tensor<1x1x4xf32>) -> tensor<1x1x4xf32> {
  %none = onnx.none : none
  %w = onnx.Constant dense<[2.0]> : tensor<1x1x1xf32>
  %c = onnx.Conv(%x, %w, %none) : (tensor<1x1x4xf32>, tensor<1x1x1xf32>, none) -> tensor<1x1x4xf32>
  %s = onnx.Constant dense<[6.0]> : tensor<1xf64>
  %o = onnx.Constant dense<[0.5]> : tensor<1xf64>
  %m = onnx.Constant dense<[1.0]> : tensor<1xf64>
  %v = onnx.Constant dense<[4.0]> : tensor<1xf64>
  %y, %m2, %v2 = onnx.BatchNormalization(%c, %s, %o, %m, %v) {epsilon = 0.0 : f32} : (tensor<1x1x4xf32>, tensor<1xf64>, tensor<1xf64>, tensor<1xf64>, tensor<1xf64>) -> (tensor<1x1x4xf32>, none, none)
  func.return %y : tensor<1x1x4xf32>
}
