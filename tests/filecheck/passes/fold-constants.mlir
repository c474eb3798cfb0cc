// RUN: sardonyx opt %s -p "fold-constants,dce" --split-input-file | filecheck %s
// RUN: sardonyx opt %s -p "fold-constants{max_growth=8},dce" --split-input-file | filecheck %s --check-prefix SMALL

// CHECK-LABEL: @add
func.func @add() -> tensor<2xi64> {
  // CHECK-NEXT: %b = onnx.Constant dense<[2, 4]> : tensor<2xi64>
  // CHECK-NEXT: func.return %b
  %a = onnx.Constant dense<[1, 2]> : tensor<2xi64>
  %b = onnx.Add(%a, %a) : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  func.return %b : tensor<2xi64>
}

// -----

// The sizes of an input are known although its values are not.
// CHECK-LABEL: @shape
func.func @shape(%x: tensor<2x3xf32>) -> tensor<2xi64> {
  // CHECK-NEXT: %s = onnx.Constant dense<[2, 3]> : tensor<2xi64>
  // CHECK-NEXT: func.return %s
  %s = onnx.Shape(%x) : (tensor<2x3xf32>) -> tensor<2xi64>
  func.return %s : tensor<2xi64>
}

// -----

// One size of several is enough, where only that one is asked for.
// CHECK-LABEL: @gather
func.func @gather(%x: tensor<?x3xf32, #onnx.dims<"n", 3>>) -> (tensor<i64>, tensor<i64>) {
  // CHECK: %known = onnx.Constant dense<[3]> : tensor<i64>
  // CHECK: %unknown = onnx.Gather(%{{.*}}, %{{.*}})
  %s = onnx.Shape(%x) : (tensor<?x3xf32, #onnx.dims<"n", 3>>) -> tensor<2xi64>
  %zero = onnx.Constant dense<[0]> : tensor<i64>
  %one = onnx.Constant dense<[1]> : tensor<i64>
  %known = onnx.Gather(%s, %one) : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  %unknown = onnx.Gather(%s, %zero) : (tensor<2xi64>, tensor<i64>) -> tensor<i64>
  func.return %known, %unknown : tensor<i64>, tensor<i64>
}

// -----

// Within a region, too.
// CHECK-LABEL: @region
func.func @region(%p: tensor<i1>, %x: tensor<1xf32>) -> tensor<1xf32> {
  // CHECK: onnx.If(%p) ({
  // CHECK-NEXT: %sum = onnx.Constant dense<[3.0]> : tensor<1xf32>
  // CHECK-NEXT: onnx.yield(%sum)
  %y = onnx.If(%p) ({
    %a = onnx.Constant dense<[1.5]> : tensor<1xf32>
    %sum = onnx.Add(%a, %a) : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
    onnx.yield(%sum) : (tensor<1xf32>) -> ()
  }, {
    onnx.yield(%x) : (tensor<1xf32>) -> ()
  }) : (tensor<i1>) -> tensor<1xf32>
  func.return %y : tensor<1xf32>
}

// -----

// A larger result goes to the store, and the IR names it.
// CHECK-LABEL: @stored
// SMALL-LABEL: @stored
func.func @stored() -> tensor<20xf32> {
  // CHECK-NEXT: %y = onnx.Constant #onnx.weight<"y"> : tensor<20xf32>
  // SMALL: onnx.ConstantOfShape
  %n = onnx.Constant dense<[20]> : tensor<1xi64>
  %y = onnx.ConstantOfShape(%n) {value = #onnx.dense<[1.0] : tensor<1xf32>>} : (tensor<1xi64>) -> tensor<20xf32>
  func.return %y : tensor<20xf32>
}

// -----

// Refused: an operand is not constant.
// CHECK-LABEL: @operand
func.func @operand(%x: tensor<1xf32>) -> tensor<1xf32> {
  // CHECK: onnx.Add(%x, %a)
  %a = onnx.Constant dense<[1.5]> : tensor<1xf32>
  %y = onnx.Add(%x, %a) : (tensor<1xf32>, tensor<1xf32>) -> tensor<1xf32>
  func.return %y : tensor<1xf32>
}

// -----

// Refused: 2 elements would become a million.
// CHECK-LABEL: @growth
func.func @growth() -> tensor<1000x1000xf32> {
  // CHECK: onnx.ConstantOfShape
  %n = onnx.Constant dense<[1000, 1000]> : tensor<2xi64>
  %y = onnx.ConstantOfShape(%n) : (tensor<2xi64>) -> tensor<1000x1000xf32>
  func.return %y : tensor<1000x1000xf32>
}

// -----

// Refused: a random number is no function of its operands.
// CHECK-LABEL: @random
func.func @random() -> tensor<2xf32> {
  // CHECK: onnx.RandomUniform
  %y = onnx.RandomUniform() {shape = array<i64: 2>} : () -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

// Refused: a result's size is not known.
// CHECK-LABEL: @size
func.func @size() -> tensor<?x?xi64> {
  // CHECK: onnx.NonZero
  %a = onnx.Constant dense<[1, 0]> : tensor<2xi64>
  %y = onnx.NonZero(%a) : (tensor<2xi64>) -> tensor<?x?xi64>
  func.return %y : tensor<?x?xi64>
}

// -----

// Refused: the store of this text does not hold the weight.
// CHECK-LABEL: @absent
func.func @absent() -> tensor<2xf32> {
  // CHECK: onnx.Add
  %w = onnx.Constant #onnx.weight<"nowhere"> : tensor<2xf32>
  %y = onnx.Add(%w, %w) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %y : tensor<2xf32>
}

// -----

// Refused: ONNX has no constant of this element type.
// CHECK-LABEL: @held
func.func @held() -> tensor<1xf6E2M3FN> {
  // CHECK: onnx.Cast
  %a = onnx.Constant dense<[1.5]> : tensor<1xf32>
  %y = onnx.Cast(%a) {to = 27 : i64} : (tensor<1xf32>) -> tensor<1xf6E2M3FN>
  func.return %y : tensor<1xf6E2M3FN>
}
