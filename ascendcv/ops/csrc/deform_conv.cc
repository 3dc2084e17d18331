// Deformable convolution as TensorFlow ops.
#include "deform_conv.h"

#include "tensorflow_op.h"

#ifdef ASCENDCV_CUDA
extern "C" int ascendcv_deform_conv2d(void* stream, const int* sizes, const float* x, const float* offset,
                                      const float* mask, const float* kernel, const float* bias, float* y);
extern "C" int ascendcv_deform_conv2d_grad(void* stream, const int* sizes, const float* x, const float* offset,
                                           const float* mask, const float* kernel, const float* grad_y, float* grad_x,
                                           float* grad_offset, float* grad_mask, float* grad_kernel, float* grad_bias);
#endif

namespace ascendcv {
namespace deform_conv {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

struct Attributes {
  std::vector<int64_t> stride, padding, dilation;
  int64_t groups, deformable_groups;
  bool masked;

  template <typename Context>
  absl::Status read(Context* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("strides", &stride));
    TF_RETURN_IF_ERROR(context->GetAttr("padding", &padding));
    TF_RETURN_IF_ERROR(context->GetAttr("dilations", &dilation));
    TF_RETURN_IF_ERROR(context->GetAttr("groups", &groups));
    TF_RETURN_IF_ERROR(context->GetAttr("deformable_groups", &deformable_groups));
    TF_RETURN_IF_ERROR(context->GetAttr("masked", &masked));
    if (stride.size() != 2 || padding.size() != 2 || dilation.size() != 2)
      return absl::InvalidArgumentError("strides, padding and dilations take two numbers each: y and x");
    if (std::min({stride[0], stride[1], dilation[0], dilation[1], groups, deformable_groups}) < 1)
      return absl::InvalidArgumentError("strides, dilations, groups and deformable_groups should be at least 1");
    return absl::OkStatus();
  }

  int64_t output_size(int64_t size, int64_t kernel, int axis) const {
    const int64_t room = size + 2 * padding[axis] - dilation[axis] * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride[axis] + 1;
  }
};

absl::Status infer_shape(InferenceContext* c) {
  Attributes attributes;
  TF_RETURN_IF_ERROR(attributes.read(c));
  ShapeHandle x, kernel;
  TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 4, &x));
  TF_RETURN_IF_ERROR(c->WithRank(c->input(3), 4, &kernel));
  DimensionHandle size[2];
  for (int axis = 0; axis < 2; ++axis) {
    const DimensionHandle in = c->Dim(x, 1 + axis), taps = c->Dim(kernel, axis);
    size[axis] = c->ValueKnown(in) && c->ValueKnown(taps)
                     ? c->MakeDim(attributes.output_size(c->Value(in), c->Value(taps), axis))
                     : c->UnknownDim();
  }
  c->set_output(0, c->MakeShape({c->Dim(x, 0), size[0], size[1], c->Dim(kernel, 3)}));
  return absl::OkStatus();
}

#define ASCENDCV_DEFORM_CONV_ATTRIBUTES \
  Attr("strides: list(int)")            \
      .Attr("padding: list(int)")       \
      .Attr("dilations: list(int)")     \
      .Attr("groups: int")              \
      .Attr("deformable_groups: int")   \
      .Attr("masked: bool")

// An unmasked convolution gets an empty mask.
REGISTER_OP("Ascendcv>DeformConv2D")
    .Input("x: float")
    .Input("offset: float")
    .Input("mask: float")
    .Input("kernel: float")
    .Input("bias: float")
    .Output("y: float")
    .ASCENDCV_DEFORM_CONV_ATTRIBUTES.SetShapeFn(infer_shape)
    .Doc("Deformable convolution v2. Registered by `import ascendcv.ops.fused; ascendcv.ops.fused.load()`.");

REGISTER_OP("Ascendcv>DeformConv2DGrad")
    .Input("x: float")
    .Input("offset: float")
    .Input("mask: float")
    .Input("kernel: float")
    .Input("bias: float")
    .Input("grad_y: float")
    .Output("grad_x: float")
    .Output("grad_offset: float")
    .Output("grad_mask: float")
    .Output("grad_kernel: float")
    .Output("grad_bias: float")
    .ASCENDCV_DEFORM_CONV_ATTRIBUTES.SetShapeFn(gradient_shapes);

struct DeformConv {
  Attributes attributes;

  absl::Status read(tensorflow::OpKernelConstruction* context) { return attributes.read(context); }

  // Checks the inputs against each other.
  absl::Status shape(OpKernelContext* context, Shape* s) const {
    const Tensor &x = context->input(0), &offset = context->input(1), &mask = context->input(2);
    const Tensor &kernel = context->input(3), &bias = context->input(4);
    const Attributes& a = attributes;
    if (x.dims() != 4 || kernel.dims() != 4)
      return absl::InvalidArgumentError("deformable convolution: x and kernel should have 4 axes");
    *s = {{x.dim_size(1), x.dim_size(2), a.output_size(x.dim_size(1), kernel.dim_size(0), 0),
           a.output_size(x.dim_size(2), kernel.dim_size(1), 1), kernel.dim_size(0), kernel.dim_size(1),
           {a.stride[0], a.stride[1]}, {a.padding[0], a.padding[1]}, {a.dilation[0], a.dilation[1]}},
          x.dim_size(0), x.dim_size(3), kernel.dim_size(3), a.groups, a.deformable_groups};
    if (s->channels % s->groups || s->out_channels % s->groups || s->channels % s->deformable_groups ||
        kernel.dim_size(2) * s->groups != s->channels)
      return absl::InvalidArgumentError(absl::StrCat(
          "deformable convolution: kernel ", kernel.shape().DebugString(), ", ", s->groups, " groups and ",
          s->deformable_groups, " deformable groups do not fit ", s->channels, " input channels"));
    const tensorflow::TensorShape one({s->batch, s->out_height, s->out_width, s->entries()});
    tensorflow::TensorShape two = one;
    two.set_dim(3, 2 * s->entries());
    if (offset.shape() != two || (a.masked && mask.shape() != one) || bias.NumElements() != s->out_channels)
      return absl::InvalidArgumentError(absl::StrCat(
          "deformable convolution: offset should be ", two.DebugString(), ", mask ", one.DebugString(), ", bias [",
          s->out_channels, "]; received ", offset.shape().DebugString(), ", ", mask.shape().DebugString(), ", ",
          bias.shape().DebugString()));
    if (s->pixels() > std::numeric_limits<int>::max())
      return absl::InvalidArgumentError("deformable convolution: an image should have less than 2^31 pixels");
    return absl::OkStatus();
  }

  const float* mask(OpKernelContext* context) const {
    return attributes.masked ? data(context->input(2)) : nullptr;
  }

  template <Device device>
  absl::Status forward(OpKernelContext* context) const {
    Shape s;
    TF_RETURN_IF_ERROR(shape(context, &s));
    Tensor* y;
    TF_RETURN_IF_ERROR(context->allocate_output(0, {s.batch, s.out_height, s.out_width, s.out_channels}, &y));
    const float *x = data(context->input(0)), *offset = data(context->input(1));
    const float *kernel = data(context->input(3)), *bias = data(context->input(4));
    if constexpr (device == Device::kCpu)
      deform_conv::forward(s, x, offset, mask(context), kernel, bias, data(*y), parallel(context));
#ifdef ASCENDCV_CUDA
    else
      return launched(ascendcv_deform_conv2d(stream(context), sizes(s).data(), x, offset, mask(context), kernel, bias,
                                             data(*y)));
#endif
    return absl::OkStatus();
  }

  template <Device device>
  absl::Status backward(OpKernelContext* context) const {
    Shape s;
    TF_RETURN_IF_ERROR(shape(context, &s));
    if (context->input(5).shape() != tensorflow::TensorShape({s.batch, s.out_height, s.out_width, s.out_channels}))
      return absl::InvalidArgumentError("deformable convolution: grad_y should have the output's shape");
    Tensor* grads[5];
    TF_RETURN_IF_ERROR(allocate_gradients(context, grads));
    const float *x = data(context->input(0)), *offset = data(context->input(1));
    const float *kernel = data(context->input(3)), *grad_y = data(context->input(5));
    float *grad_x = data(*grads[0]), *grad_offset = data(*grads[1]), *grad_kernel = data(*grads[3]);
    float *grad_mask = attributes.masked ? data(*grads[2]) : nullptr, *grad_bias = data(*grads[4]);
    if constexpr (device == Device::kCpu)
      deform_conv::backward(s, x, offset, mask(context), kernel, grad_y, grad_x, grad_offset, grad_mask, grad_kernel,
                            grad_bias, parallel(context));
#ifdef ASCENDCV_CUDA
    else
      return launched(ascendcv_deform_conv2d_grad(stream(context), sizes(s).data(), x, offset, mask(context), kernel,
                                                  grad_y, grad_x, grad_offset, grad_mask, grad_kernel, grad_bias));
#endif
    return absl::OkStatus();
  }

  // As deform_conv.cu has them.
  static std::array<int, 17> sizes(const Shape& s) {
    return integers<17>({s.batch, s.height, s.width, s.channels, s.out_height, s.out_width, s.out_channels,
                         s.kernel_height, s.kernel_width, s.stride[0], s.stride[1], s.padding[0], s.padding[1],
                         s.dilation[0], s.dilation[1], s.groups, s.deformable_groups});
  }
};

ASCENDCV_REGISTER("Ascendcv>DeformConv2D", DeformConv);

}  // namespace deform_conv
}  // namespace ascendcv
