// RUN: ROUNDTRIP

// CHECK: sdy.mesh @mesh = <["x"=2]>
sdy.mesh @mesh = <["x"=2]>
// CHECK: sdy.manual_computation(%a) in_shardings=[<@mesh, [{"x"}]>] out_shardings=[<@mesh, [{}]>]
// CHECK: sdy.all_gather [{"x"}] %p : (tensor<2xf32>) -> tensor<4xf32>
// CHECK: sdy.return %q : tensor<4xf32>
func.func @main(%a: tensor<4xf32>) -> tensor<4xf32> {
  %r = sdy.manual_computation(%a) in_shardings=[<@mesh, [{"x"}]>] out_shardings=[<@mesh, [{}]>] {
  ^bb0(%p: tensor<2xf32>):
    %q = sdy.all_gather [{"x"}] %p : (tensor<2xf32>) -> tensor<4xf32>
    sdy.return %q : tensor<4xf32>
  } : (tensor<4xf32>) -> tensor<4xf32>
  func.return %r : tensor<4xf32>
}
