// RUN: sardonyx opt %s --verify-diagnostics --parsing-diagnostics --split-input-file | filecheck %s

// CHECK: argument 0 of a region is tensor<2xf32>, in its body tensor<3xf32>
func.func @argument(%x: tensor<2xf32>) {
  %y = fusion.region(%x) ({
  ^bb0(%a: tensor<3xf32>):
    %b = onnx.Relu(%a) : (tensor<3xf32>) -> tensor<3xf32>
    fusion.yield(%b) : (tensor<3xf32>) -> ()
  }) : (tensor<2xf32>) -> tensor<3xf32>
  func.return
}

// -----

// CHECK: result 0 of a region is tensor<2xf64>, in its body tensor<2xf32>
func.func @result(%x: tensor<2xf32>) {
  %y = fusion.region(%x) ({
  ^bb0(%a: tensor<2xf32>):
    %b = onnx.Relu(%a) : (tensor<2xf32>) -> tensor<2xf32>
    fusion.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>) -> tensor<2xf64>
  func.return
}

// -----

// CHECK: a region with 2 arguments: found 1 in its body
func.func @count(%x: tensor<2xf32>) {
  %y = fusion.region(%x, %x) ({
  ^bb0(%a: tensor<2xf32>):
    %b = onnx.Relu(%a) : (tensor<2xf32>) -> tensor<2xf32>
    fusion.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: a region holds one op at least
func.func @empty(%x: tensor<2xf32>) {
  %y = fusion.region(%x) ({
  ^bb0(%a: tensor<2xf32>):
    fusion.yield(%a) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: a region ends with fusion.yield
func.func @end(%x: tensor<2xf32>) {
  %y = fusion.region(%x) ({
  ^bb0(%a: tensor<2xf32>):
    %b = onnx.Relu(%a) : (tensor<2xf32>) -> tensor<2xf32>
    onnx.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: found onnx.RandomNormalLike in a region: it is no pure function of its operands
func.func @random(%x: tensor<2xf32>) {
  %y = fusion.region(%x) ({
  ^bb0(%a: tensor<2xf32>):
    %b = onnx.RandomNormalLike(%a) : (tensor<2xf32>) -> tensor<2xf32>
    fusion.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: found test.op in a region, wanted ops of ONNX
func.func @foreign(%x: tensor<2xf32>) {
  %y = fusion.region(%x) ({
  ^bb0(%a: tensor<2xf32>):
    %b = onnx.Relu(%a) : (tensor<2xf32>) -> tensor<2xf32>
    "test.op"() : () -> ()
    fusion.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// CHECK: found onnx.If in a region: it has a subgraph
func.func @subgraph(%c: tensor<i1>, %x: tensor<2xf32>) {
  %y = fusion.region(%c, %x) ({
  ^bb0(%d: tensor<i1>, %a: tensor<2xf32>):
    %b = onnx.If(%d) ({
      onnx.yield(%a) : (tensor<2xf32>) -> ()
    }, {
      onnx.yield(%a) : (tensor<2xf32>) -> ()
    }) : (tensor<i1>) -> tensor<2xf32>
    fusion.yield(%b) : (tensor<2xf32>) -> ()
  }) : (tensor<i1>, tensor<2xf32>) -> tensor<2xf32>
  func.return
}

// -----

// What is around a region is not seen within.
// CHECK: Operation using value defined out of its IsolatedFromAbove parent
func.func @isolated(%x: tensor<2xf32>) {
  %y = fusion.region() ({
    %b = onnx.Relu(%x) : (tensor<2xf32>) -> tensor<2xf32>
    fusion.yield(%b) : (tensor<2xf32>) -> ()
  }) : () -> tensor<2xf32>
  func.return
}

// -----

func.func @rows(%x: tensor<1x4x4x2xf32>, %w: tensor<1x1x2x2xf32>) {
  // CHECK: found fusion.rows 0 : i64, wanted a number from 1 on
  %y = fusion.region(%x, %w) {fusion.rows = 0 : i64} ({
  ^bb0(%a: tensor<1x4x4x2xf32>, %b: tensor<1x1x2x2xf32>):
    %none = onnx.none : none
    %c = nhwc.Conv(%a, %b, %none) : (tensor<1x4x4x2xf32>, tensor<1x1x2x2xf32>, none) -> tensor<1x4x4x2xf32>
    fusion.yield(%c) : (tensor<1x4x4x2xf32>) -> ()
  }) : (tensor<1x4x4x2xf32>, tensor<1x1x2x2xf32>) -> tensor<1x4x4x2xf32>
  func.return
}
