// RUN: sardonyx opt %s -p depth-first | filecheck %s

// A block of MobileNetV2 on large images: each tile makes 16 rows.
// CHECK-LABEL: @block
// CHECK-NOT: nhwc.Conv
// CHECK: %z = fusion.region(%x, %w1, %w2, %w3) {fusion.rows = 16 : i64} ({
// CHECK: [[A:%.*]] = nhwc.Conv(
// CHECK-NEXT: [[B:%.*]] = onnx.Relu([[A]])
// CHECK-NEXT: [[C:%.*]] = nhwc.Conv([[B]], {{.*}}) {group = 96 : i64, pads = array<i64: 1, 1, 1, 1>}
// CHECK-NEXT: [[D:%.*]] = nhwc.Conv([[C]],
// CHECK-NEXT: [[E:%.*]] = onnx.Add([[D]],
// CHECK-NEXT: fusion.yield([[E]])
// CHECK: func.return %z
func.func @block(%x: tensor<1x224x224x16xf32>, %w1: tensor<1x1x16x96xf32>, %w2: tensor<3x3x1x96xf32>, %w3: tensor<1x1x96x16xf32>) -> tensor<1x224x224x16xf32> {
  %none = onnx.none : none
  %a = nhwc.Conv(%x, %w1, %none) : (tensor<1x224x224x16xf32>, tensor<1x1x16x96xf32>, none) -> tensor<1x224x224x96xf32>
  %b = onnx.Relu(%a) : (tensor<1x224x224x96xf32>) -> tensor<1x224x224x96xf32>
  %c = nhwc.Conv(%b, %w2, %none) {group = 96 : i64, pads = array<i64: 1, 1, 1, 1>} : (tensor<1x224x224x96xf32>, tensor<3x3x1x96xf32>, none) -> tensor<1x224x224x96xf32>
  %y = nhwc.Conv(%c, %w3, %none) : (tensor<1x224x224x96xf32>, tensor<1x1x96x16xf32>, none) -> tensor<1x224x224x16xf32>
  %z = onnx.Add(%y, %x) : (tensor<1x224x224x16xf32>, tensor<1x224x224x16xf32>) -> tensor<1x224x224x16xf32>
  func.return %z : tensor<1x224x224x16xf32>
}

// Refused: the cache that all cores share holds 5 MB.
// CHECK-LABEL: @small
// CHECK-NOT: fusion.region
// CHECK: func.return
func.func @small(%x: tensor<1x112x112x16xf32>, %w1: tensor<1x1x16x96xf32>, %w3: tensor<1x1x96x16xf32>) -> tensor<1x112x112x16xf32> {
  %none = onnx.none : none
  %a = nhwc.Conv(%x, %w1, %none) : (tensor<1x112x112x16xf32>, tensor<1x1x16x96xf32>, none) -> tensor<1x112x112x96xf32>
  %y = nhwc.Conv(%a, %w3, %none) : (tensor<1x112x112x96xf32>, tensor<1x1x96x16xf32>, none) -> tensor<1x112x112x16xf32>
  func.return %y : tensor<1x112x112x16xf32>
}
