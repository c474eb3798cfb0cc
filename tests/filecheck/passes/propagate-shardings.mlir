// RUN: sardonyx opt %s -p propagate-shardings | filecheck %s

// Forward through Relu, backward to what is added; a Softmax needs its axis whole.
// CHECK: %y: tensor<4x8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {"y"}]>}
// CHECK: onnx.Relu({{.*}}) {sdy.sharding = #sdy.sharding_per_value<[<@mesh, [{"x"}, {"y"}]>]>}
// CHECK: onnx.Add({{.*}}) {sdy.sharding = #sdy.sharding_per_value<[<@mesh, [{"x"}, {"y"}]>]>}
// CHECK: onnx.Softmax({{.*}}) {sdy.sharding = #sdy.sharding_per_value<[<@mesh, [{"x"}, {}]>]>}
sdy.mesh @mesh = <["x"=2, "y"=4]>
func.func @main(%x: tensor<4x8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {"y"}]>},
                %y: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %a = onnx.Relu(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %b = onnx.Add(%a, %y) : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x8xf32>
  %c = onnx.Softmax(%b) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %c : tensor<4x8xf32>
}
