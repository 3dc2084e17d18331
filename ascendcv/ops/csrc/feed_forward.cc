// The feed-forward part of Transformer layers as a TensorFlow op, for processors.
#include "feed_forward.h"

#include "tensorflow_op.h"

namespace ascendcv {
namespace feed_forward {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

// Without elements in `gamma` and `beta` there is no norm.
REGISTER_OP("Ascendcv>FeedForward")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("kernel1: float")
    .Input("bias1: float")
    .Input("kernel2: float")
    .Input("bias2: float")
    .Output("y: float")
    .Attr("epsilon: float")
    .SetShapeFn([](InferenceContext* c) {
      c->set_output(0, c->input(0));
      return absl::OkStatus();
    })
    .Doc("Feed-forward part. Registered by `import ascendcv.ops.fused; ascendcv.ops.fused.load('feed_forward')`.");

struct FeedForward {
  float epsilon;

  absl::Status read(tensorflow::OpKernelConstruction* context) { return context->GetAttr("epsilon", &epsilon); }

  absl::Status compute(OpKernelContext* context) const {
    const Tensor &x = context->input(0), &gamma = context->input(1);
    if (x.dims() < 1 || context->input(3).dims() != 2)
      return absl::InvalidArgumentError("feed-forward: x should have axes, and kernel1 two");
    const int64_t channels = x.dim_size(x.dims() - 1), hidden = context->input(3).dim_size(1);
    const int64_t normed = gamma.NumElements() ? channels : 0;
    const TensorShape shapes[] = {{normed}, {normed}, {channels, hidden}, {hidden}, {hidden, channels}, {channels}};
    for (int i = 1; i < 7; ++i)
      if (context->input(i).shape() != shapes[i - 1])
        return absl::InvalidArgumentError(absl::StrCat("feed-forward: weight ", i, " should be ",
                                                       shapes[i - 1].DebugString(), "; received ",
                                                       context->input(i).shape().DebugString()));
    Tensor* y;
    TF_RETURN_IF_ERROR(context->allocate_output(0, x.shape(), &y));
    if (y->NumElements() == 0) return absl::OkStatus();
    const auto input = [&](int i) { return data(context->input(i)); };
    const Norm norm{input(1), input(2), epsilon};
    feed_forward::forward(x.NumElements() / channels, channels, hidden, normed ? &norm : nullptr,
                          {input(3), input(4), input(5), input(6)}, data(x), data(*y), parallel(context));
    return absl::OkStatus();
  }
};

ASCENDCV_REGISTER_CPU("Ascendcv>FeedForward", FeedForward);

}  // namespace feed_forward
}  // namespace ascendcv
