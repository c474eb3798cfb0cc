// RUN: sardonyx opt %s -p "shard-sequence{size=2},propagate-shardings,partition" | filecheck %s

// The sequence is divided; around attention the heads are.
// CHECK: sdy.mesh @mesh = <["seq"=2]>
// CHECK: sdy.all_to_all [{"seq"}: 1->2] {{.*}} : (tensor<1x4x8xf32>) -> tensor<1x8x4xf32>
// CHECK-NEXT: onnx.Attention({{.*}}) {q_num_heads = 1 : i64, kv_num_heads = 1 : i64}
// CHECK-NEXT: sdy.all_to_all [{"seq"}: 2->1] {{.*}} : (tensor<1x8x4xf32>) -> tensor<1x4x8xf32>
// CHECK-NEXT: onnx.MatMul({{.*}}) : (tensor<1x4x8xf32>, tensor<8x8xf32>) -> tensor<1x4x8xf32>
// CHECK-NEXT: onnx.Add({{.*}}) : (tensor<1x4x8xf32>, tensor<1x4x8xf32>) -> tensor<1x4x8xf32>
func.func @main(%x: tensor<1x8x8xf32>, %w: tensor<8x8xf32>) -> tensor<1x8x8xf32> {
  %none = onnx.none : none
  %a, %b, %c, %d = onnx.Attention(%x, %x, %x, %none, %none, %none, %none)
      {q_num_heads = 2 : i64, kv_num_heads = 2 : i64}
      : (tensor<1x8x8xf32>, tensor<1x8x8xf32>, tensor<1x8x8xf32>, none, none, none, none)
      -> (tensor<1x8x8xf32>, none, none, none)
  %m = onnx.MatMul(%a, %w) : (tensor<1x8x8xf32>, tensor<8x8xf32>) -> tensor<1x8x8xf32>
  %y = onnx.Add(%m, %x) : (tensor<1x8x8xf32>, tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  func.return %y : tensor<1x8x8xf32>
}
