// RUN: sardonyx opt %s -p propagate-shardings,partition | filecheck %s

// Weights by columns, then by rows: one sum completes both products.
// CHECK: sdy.mesh @mesh = <["model"=2]>
// CHECK: sdy.manual_computation
// CHECK-SAME: in_shardings=[<@mesh, [{}, {}]>, <@mesh, [{}, {"model"}]>, <@mesh, [{"model"}, {}]>] out_shardings=[<@mesh, [{}, {}]>]
// CHECK: onnx.MatMul({{.*}}) : (tensor<4x8xf32>, tensor<8x8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: onnx.Relu({{.*}}) : (tensor<4x8xf32>) -> tensor<4x8xf32>
// CHECK-NEXT: onnx.MatMul({{.*}}) : (tensor<4x8xf32>, tensor<8x6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: sdy.all_reduce {"model"} {{.*}} : (tensor<4x6xf32>) -> tensor<4x6xf32>
// CHECK-NEXT: sdy.return
sdy.mesh @mesh = <["model"=2]>
func.func @main(%x: tensor<4x8xf32>,
                %u: tensor<8x16xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {"model"}]>},
                %v: tensor<16x6xf32>) -> tensor<4x6xf32> {
  %a = onnx.MatMul(%x, %u) : (tensor<4x8xf32>, tensor<8x16xf32>) -> tensor<4x16xf32>
  %b = onnx.Relu(%a) : (tensor<4x16xf32>) -> tensor<4x16xf32>
  %c = onnx.MatMul(%b, %v) : (tensor<4x16xf32>, tensor<16x6xf32>) -> tensor<4x6xf32>
  func.return %c : tensor<4x6xf32>
}
