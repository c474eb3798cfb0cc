// RUN: sardonyx opt %s -p plan-memory | filecheck %s

// One matrix lies behind the other; the sum is written over the first.
// CHECK-LABEL: @chain
// CHECK-SAME: attributes {{.*}}sched.arena = 128 : i64
// CHECK: onnx.Neg(%x) {sched.offsets = array<i64: [[A:.*]]>}
// CHECK-NEXT: onnx.Exp(%x) {sched.offsets = array<i64: {{.*}}>}
// CHECK-NEXT: onnx.Add(%a, %b) {sched.offsets = array<i64: [[A]]>}
// CHECK-NEXT: onnx.Abs(%c) :
// CHECK-NEXT: func.return
func.func @chain(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %a = onnx.Neg(%x) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %b = onnx.Exp(%x) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  %c = onnx.Add(%a, %b) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %d = onnx.Abs(%c) : (tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %d : tensor<4x4xf32>
}

// Refused: a size is free.
// CHECK-LABEL: @free
// CHECK-NOT: sched.
// CHECK: onnx.Neg
func.func @free(%x: tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">> {
  %a = onnx.Neg(%x) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
  %b = onnx.Neg(%a) : (tensor<?xf32, #onnx.dims<"n">>) -> tensor<?xf32, #onnx.dims<"n">>
  func.return %b : tensor<?xf32, #onnx.dims<"n">>
}
