// RUN: sardonyx opt %s -p "shard-data{size=2},shard-values{values=\"w=_,data\"}" 2>&1 | filecheck %s

// CHECK: found value 'w', wanted an input's or a node's
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %a = onnx.Relu(%x) : (tensor<4x8xf32>) -> tensor<4x8xf32>
  func.return %a : tensor<4x8xf32>
}
