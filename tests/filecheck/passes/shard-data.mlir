// RUN: sardonyx opt %s -p 'shard-data{size=2}' | filecheck %s
// RUN: not sardonyx opt %s -p 'shard-data{size=2},shard-values{values="w=_,data"}' 2>&1 | filecheck %s --check-prefix UNKNOWN

// CHECK: sdy.mesh @mesh = <["data"=2]>
// CHECK: @main(%x: tensor<4x8xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"data"}, {}]>})
// UNKNOWN: found value 'w', wanted an input's or a node's
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %a = onnx.Relu(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %a : tensor<4x8xf32>
}
