// Stride-1 convolutions with bias, residual and activation as TensorFlow ops, for processors.
#include "winograd.h"

#include "few_outputs.h"
#include "tensorflow_op.h"

namespace ascendcv {
namespace winograd {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

// Of 5 x 5 taps, sums of fewer products than this come in smaller tiles: of the larger ones' rounding errors too few
// would cancel out.
constexpr int64_t kFewProducts = 32;

// Calls use(Tile, Taps), as integral constants, for kernels of `taps` x `taps` and results that are sums over `products`;
// `large_tiles`: of 5 x 5 taps.
template <typename Use>
void with_taps(int64_t taps, int64_t products, bool large_tiles, Use use) {
  if (taps == 3)
    use(std::integral_constant<int, 4>(), std::integral_constant<int, 3>());
  else if (large_tiles)
    use(std::integral_constant<int, 4>(), std::integral_constant<int, 5>());
  else if (products < kFewProducts)
    use(std::integral_constant<int, 2>(), std::integral_constant<int, 5>());
  else
    use(std::integral_constant<int, 3>(), std::integral_constant<int, 5>());
}

// The sizes of a convolution of x (the input, or null where `y` is there: the output or its gradient) by `kernel`.
absl::Status shape_of(const Tensor* x, const Tensor* y, const Tensor& kernel, Shape* s) {
  const Tensor& image = x ? *x : *y;
  if (image.dims() != 4 || kernel.dims() != 4)
    return absl::InvalidArgumentError("conv2d: images and kernel should have 4 axes");
  *s = {image.dim_size(0), image.dim_size(1), image.dim_size(2), kernel.dim_size(2), kernel.dim_size(3)};
  const int64_t taps = kernel.dim_size(0);
  if (taps != kernel.dim_size(1) || (taps != 3 && taps != 5))
    return absl::InvalidArgumentError("conv2d: the kernel should be 3 x 3 or 5 x 5");
  const auto fits = [&](const Tensor* tensor, int64_t channels) {
    return !tensor || tensor->shape() == tensorflow::TensorShape({s->batch, s->height, s->width, channels});
  };
  if (!fits(x, s->channels) || !fits(y, s->outputs))
    return absl::InvalidArgumentError(absl::StrCat("conv2d: kernel ", kernel.shape().DebugString(), " does not fit ",
                                                   image.shape().DebugString()));
  return absl::OkStatus();
}

absl::Status output_shape(InferenceContext* c, int image, int kernel, int axis) {
  ShapeHandle x, weights;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(image), 4, &x));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(kernel), 4, &weights));
  c->set_output(0, c->MakeShape({c->Dim(x, 0), c->Dim(x, 1), c->Dim(x, 2), c->Dim(weights, axis)}));
  return absl::OkStatus();
}

// `slope` is the activation's below 0: 1 for none, 0 for ReLU. `residual` is added before or after it. `large_tiles`: faster
// for 5 x 5 taps, with five times the rounding error of float32; its gradients are computed by the usual tiles.
REGISTER_OP("Ascendcv>Conv2D")
    .Input("x: float")
    .Input("kernel: float")
    .Input("bias: float")
    .Input("residual: float")
    .Output("y: float")
    .Attr("slope: float")
    .Attr("residual_place: {'none', 'before', 'after'}")
    .Attr("large_tiles: bool")
    .SetShapeFn([](InferenceContext* c) { return output_shape(c, 0, 1, 3); })
    .Doc("Convolution of stride 1. Registered by `import ascendcv.ops.fused; ascendcv.ops.fused.load('conv2d')`.");

// `y` tells where the activation's slope applies; with slope 1 it is not read.
REGISTER_OP("Ascendcv>Conv2DInputGrad")
    .Input("kernel: float")
    .Input("y: float")
    .Input("grad_y: float")
    .Output("grad_x: float")
    .Attr("slope: float")
    .SetShapeFn([](InferenceContext* c) { return output_shape(c, 2, 0, 2); });

REGISTER_OP("Ascendcv>Conv2DKernelGrad")
    .Input("x: float")
    .Input("y: float")
    .Input("grad_y: float")
    .Output("grad_kernel: float")
    .Output("grad_bias: float")
    .Attr("slope: float")
    .Attr("taps: int")
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle x, y;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &x));
      TF_RETURN_IF_ERROR(c->WithRank(c->input(2), 4, &y));
      int64_t taps;
      TF_RETURN_IF_ERROR(c->GetAttr("taps", &taps));
      c->set_output(0, c->MakeShape({c->MakeDim(taps), c->MakeDim(taps), c->Dim(x, 3), c->Dim(y, 3)}));
      c->set_output(1, c->MakeShape({c->Dim(y, 3)}));
      return absl::OkStatus();
    });

struct Convolution {
  float slope;
  std::string place;
  bool large_tiles;

  absl::Status read(tensorflow::OpKernelConstruction* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("slope", &slope));
    TF_RETURN_IF_ERROR(context->GetAttr("residual_place", &place));
    return context->GetAttr("large_tiles", &large_tiles);
  }

  absl::Status compute(OpKernelContext* context) const {
    const Tensor &x = context->input(0), &kernel = context->input(1);
    const Tensor &bias = context->input(2), &residual = context->input(3);
    Shape s;
    TF_RETURN_IF_ERROR(shape_of(&x, nullptr, kernel, &s));
    const tensorflow::TensorShape shape({s.batch, s.height, s.width, s.outputs});
    if (bias.NumElements() != s.outputs || (place != "none" && residual.shape() != shape))
      return absl::InvalidArgumentError(absl::StrCat("conv2d: bias should be [", s.outputs, "] and residual ",
                                                     shape.DebugString(), "; received ", bias.shape().DebugString(),
                                                     " and ", residual.shape().DebugString()));
    Tensor* y;
    TF_RETURN_IF_ERROR(context->allocate_output(0, shape, &y));
    const Finish finish{data(bias), place == "none" ? nullptr : data(residual), place == "before", slope};
    with_taps(kernel.dim_size(0), s.channels, large_tiles, [&](auto tile, auto taps) {
      if (few_outputs::serves(s))
        few_outputs::convolve<taps>(s, data(x), data(kernel), finish, data(*y), parallel(context));
      else
        winograd::convolve<tile, taps>(s, {data(x)}, {data(kernel), false}, finish, data(*y), parallel(context));
    });
    return absl::OkStatus();
  }
};

// The output's gradient, as it is before the activation.
Source gradient(const Tensor& y, const Tensor& grad_y, float slope) {
  return {data(grad_y), slope == 1 ? nullptr : data(y), slope};
}

struct InputGradient {
  float slope;

  absl::Status read(tensorflow::OpKernelConstruction* context) { return context->GetAttr("slope", &slope); }

  absl::Status compute(OpKernelContext* context) const {
    const Tensor &kernel = context->input(0), &y = context->input(1), &grad_y = context->input(2);
    Shape s;
    TF_RETURN_IF_ERROR(shape_of(nullptr, &grad_y, kernel, &s));
    if (y.shape() != grad_y.shape())
      return absl::InvalidArgumentError("conv2d: grad_y should have the output's shape");
    Tensor* grad_x;
    TF_RETURN_IF_ERROR(context->allocate_output(0, {s.batch, s.height, s.width, s.channels}, &grad_x));
    std::swap(s.channels, s.outputs);
    with_taps(kernel.dim_size(0), s.channels, false, [&](auto tile, auto taps) {
      winograd::convolve<tile, taps>(s, gradient(y, grad_y, slope), {data(kernel), true}, {}, data(*grad_x),
                                     parallel(context));
    });
    return absl::OkStatus();
  }
};

struct KernelGradient {
  float slope;
  int64_t taps;

  absl::Status read(tensorflow::OpKernelConstruction* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("slope", &slope));
    TF_RETURN_IF_ERROR(context->GetAttr("taps", &taps));
    return taps == 3 || taps == 5 ? absl::OkStatus()
                                  : absl::InvalidArgumentError("conv2d: the kernel should be 3 x 3 or 5 x 5");
  }

  absl::Status compute(OpKernelContext* context) const {
    const Tensor &x = context->input(0), &y = context->input(1), &grad_y = context->input(2);
    if (x.dims() != 4 || grad_y.dims() != 4 || y.shape() != grad_y.shape())
      return absl::InvalidArgumentError("conv2d: images should have 4 axes, and grad_y the output's shape");
    const Shape s{x.dim_size(0), x.dim_size(1), x.dim_size(2), x.dim_size(3), grad_y.dim_size(3)};
    if (grad_y.shape() != tensorflow::TensorShape({s.batch, s.height, s.width, s.outputs}))
      return absl::InvalidArgumentError("conv2d: x and grad_y should differ in their channels alone");
    Tensor *grad_kernel, *grad_bias;
    TF_RETURN_IF_ERROR(context->allocate_output(0, {taps, taps, s.channels, s.outputs}, &grad_kernel));
    TF_RETURN_IF_ERROR(context->allocate_output(1, {s.outputs}, &grad_bias));
    with_taps(taps, std::min(s.channels, s.outputs), false, [&](auto tile, auto taps) {
      differentiate_kernel<tile, taps>(s, data(x), gradient(y, grad_y, slope), data(*grad_kernel), data(*grad_bias),
                                       parallel(context));
    });
    return absl::OkStatus();
  }
};

ASCENDCV_REGISTER_CPU("Ascendcv>Conv2D", Convolution);
ASCENDCV_REGISTER_CPU("Ascendcv>Conv2DInputGrad", InputGradient);
ASCENDCV_REGISTER_CPU("Ascendcv>Conv2DKernelGrad", KernelGradient);

}  // namespace winograd
}  // namespace ascendcv
