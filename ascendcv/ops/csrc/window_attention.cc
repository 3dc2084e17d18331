// Attention in windows as TensorFlow ops, for processors.
#include "window_attention.h"

#include "tensorflow_op.h"

namespace ascendcv {
namespace window_attention {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;
using tensorflow::TensorShape;

#define ASCENDCV_WINDOW_ATTENTION_ATTRIBUTES \
  Attr("window: list(int)").Attr("shifted: bool").Attr("heads: int >= 1").Attr("scale: float")

REGISTER_OP("Ascendcv>WindowAttention")
    .Input("x: float")
    .Input("gamma: float")
    .Input("beta: float")
    .Input("qkv_kernel: float")
    .Input("qkv_bias: float")
    .Input("table: float")
    .Input("projection_kernel: float")
    .Input("projection_bias: float")
    .Output("y: float")
    .ASCENDCV_WINDOW_ATTENTION_ATTRIBUTES.Attr("epsilon: float")
    .SetShapeFn([](InferenceContext* c) {
      ShapeHandle x;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 5, &x));
      c->set_output(0, x);
      return absl::OkStatus();
    })
    .Doc("Attention in windows. Registered by `import ascendcv.ops.fused; ascendcv.ops.fused.load('window_attention')`.");

// `beside` is qkv of the tokens beside the features, in windows that exceed them.
REGISTER_OP("Ascendcv>WindowAttentionGrad")
    .Input("qkv: float")
    .Input("beside: float")
    .Input("table: float")
    .Input("grad_y: float")
    .Output("y: float")
    .Output("grad_qkv: float")
    .Output("grad_beside: float")
    .Output("grad_table: float")
    .ASCENDCV_WINDOW_ATTENTION_ATTRIBUTES.SetShapeFn([](InferenceContext* c) {
      const int shapes[] = {3, 0, 1, 2};  // the inputs that outputs are shaped as
      for (int i = 0; i < 4; ++i) c->set_output(i, c->input(shapes[i]));
      return absl::OkStatus();
    });

struct Attributes {
  std::vector<int64_t> window;
  bool shifted;
  int64_t heads;
  float scale;

  absl::Status read(tensorflow::OpKernelConstruction* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("window", &window));
    TF_RETURN_IF_ERROR(context->GetAttr("shifted", &shifted));
    TF_RETURN_IF_ERROR(context->GetAttr("heads", &heads));
    TF_RETURN_IF_ERROR(context->GetAttr("scale", &scale));
    if (window.size() != 3 || *std::min_element(window.begin(), window.end()) < 1)
      return absl::InvalidArgumentError("window attention: window should be three positive sizes");
    return absl::OkStatus();
  }

  // Of features with the batch, frames, rows and columns of `features`.
  absl::Status shape(const Tensor& features, int64_t channels, const Tensor& table, Shape* s) const {
    if (features.dims() != 5) return absl::InvalidArgumentError("window attention: features should have 5 axes");
    *s = {features.dim_size(0), features.dim_size(1), features.dim_size(2), features.dim_size(3), channels, heads,
          {window[0], window[1], window[2]}, shifted};
    if (s->channels % heads || s->frames % window[0] || table.shape() != TensorShape({s->biases(), heads}))
      return absl::InvalidArgumentError(absl::StrCat(
          "window attention: ", channels, " channels and ", s->frames, " frames with ", heads, " heads and windows of ",
          window[0], " frames, and a table ", table.shape().DebugString(), ", which should be ",
          TensorShape({s->biases(), heads}).DebugString()));
    return absl::OkStatus();
  }
};

absl::Status check(const char* name, const Tensor& tensor, const TensorShape& shape) {
  if (tensor.shape() == shape) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("window attention: ", name, " should be ", shape.DebugString(),
                                                 "; received ", tensor.shape().DebugString()));
}

struct WindowAttention : Attributes {
  float epsilon;

  absl::Status read(tensorflow::OpKernelConstruction* context) {
    TF_RETURN_IF_ERROR(Attributes::read(context));
    return context->GetAttr("epsilon", &epsilon);
  }

  absl::Status compute(OpKernelContext* context) const {
    const Tensor& x = context->input(0);
    if (x.dims() != 5) return absl::InvalidArgumentError("window attention: x should have 5 axes");
    const int64_t channels = x.dim_size(4);
    Shape s;
    TF_RETURN_IF_ERROR(shape(x, channels, context->input(5), &s));
    TF_RETURN_IF_ERROR(check("gamma", context->input(1), {channels}));
    TF_RETURN_IF_ERROR(check("beta", context->input(2), {channels}));
    TF_RETURN_IF_ERROR(check("qkv_kernel", context->input(3), {channels, 3 * channels}));
    TF_RETURN_IF_ERROR(check("qkv_bias", context->input(4), {3 * channels}));
    TF_RETURN_IF_ERROR(check("projection_kernel", context->input(6), {channels, channels}));
    TF_RETURN_IF_ERROR(check("projection_bias", context->input(7), {channels}));
    Tensor* y;
    TF_RETURN_IF_ERROR(context->allocate_output(0, x.shape(), &y));
    const auto input = [&](int i) { return data(context->input(i)); };
    const Layer layer{{input(1), input(2), epsilon}, input(3), input(4), input(5), input(6), input(7)};
    window_attention::forward(s, layer, scale, data(x), data(*y), parallel(context));
    return absl::OkStatus();
  }
};

struct WindowAttentionGradient : Attributes {
  absl::Status compute(OpKernelContext* context) const {
    const Tensor &qkv = context->input(0), &beside = context->input(1), &table = context->input(2);
    const Tensor& grad_y = context->input(3);
    if (grad_y.dims() != 5) return absl::InvalidArgumentError("window attention: grad_y should have 5 axes");
    Shape s;
    TF_RETURN_IF_ERROR(shape(grad_y, grad_y.dim_size(4), table, &s));
    TF_RETURN_IF_ERROR(check("qkv", qkv, {s.batch, s.frames, s.height, s.width, 3 * s.channels}));
    TF_RETURN_IF_ERROR(check("beside", beside, {3 * s.channels}));
    const TensorShape shapes[] = {grad_y.shape(), qkv.shape(), beside.shape(), table.shape()};
    Tensor* outputs[4];
    for (int i = 0; i < 4; ++i) TF_RETURN_IF_ERROR(context->allocate_output(i, shapes[i], &outputs[i]));
    window_attention::backward(s, scale, data(qkv), data(beside), data(table), data(grad_y), data(*outputs[0]),
                               data(*outputs[1]), data(*outputs[2]), data(*outputs[3]), parallel(context));
    return absl::OkStatus();
  }
};

ASCENDCV_REGISTER_CPU("Ascendcv>WindowAttention", WindowAttention);
ASCENDCV_REGISTER_CPU("Ascendcv>WindowAttentionGrad", WindowAttentionGradient);

}  // namespace window_attention
}  // namespace ascendcv
