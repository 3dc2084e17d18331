// Deformable attention as TensorFlow ops.
#include "deform_attn.h"

#include "tensorflow_op.h"

#ifdef ASCENDCV_CUDA
extern "C" int ascendcv_deform_attn(void* stream, const int* sizes, const float* q, const float* kv, const float* offset,
                                    float* y);
extern "C" int ascendcv_deform_attn_grad(void* stream, const int* sizes, const float* q, const float* kv,
                                         const float* offset, const float* grad_y, float* grad_q, float* grad_kv,
                                         float* grad_offset);
#endif

namespace ascendcv {
namespace deform_attn {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

#define ASCENDCV_DEFORM_ATTN_ATTRIBUTES \
  Attr("kernel_size: int >= 1").Attr("attention_heads: int >= 1").Attr("deformable_groups: int >= 1")

REGISTER_OP("Ascendcv>DeformAttn")
    .Input("q: float")
    .Input("kv: float")
    .Input("offset: float")
    .Output("y: float")
    .ASCENDCV_DEFORM_ATTN_ATTRIBUTES.SetShapeFn([](InferenceContext* c) {
      ShapeHandle q;
      TF_RETURN_IF_ERROR(c->WithRank(c->input(0), 5, &q));
      c->set_output(0, q);
      return absl::OkStatus();
    })
    .Doc("Deformable attention. Registered by `import ascendcv.ops.fused; ascendcv.ops.fused.load('deform_attn')`.");

REGISTER_OP("Ascendcv>DeformAttnGrad")
    .Input("q: float")
    .Input("kv: float")
    .Input("offset: float")
    .Input("grad_y: float")
    .Output("grad_q: float")
    .Output("grad_kv: float")
    .Output("grad_offset: float")
    .ASCENDCV_DEFORM_ATTN_ATTRIBUTES.SetShapeFn(gradient_shapes);

struct DeformAttn {
  int64_t kernel_size, heads, deformable_groups;

  template <typename Context>
  absl::Status read(Context* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("kernel_size", &kernel_size));
    TF_RETURN_IF_ERROR(context->GetAttr("attention_heads", &heads));
    return context->GetAttr("deformable_groups", &deformable_groups);
  }

  // Checks the inputs against each other.
  absl::Status shape(OpKernelContext* context, Shape* s) const {
    const Tensor &q = context->input(0), &kv = context->input(1), &offset = context->input(2);
    if (q.dims() != 5) return absl::InvalidArgumentError("deformable attention: q should be [B, T, H, W, C]");
    const int64_t height = q.dim_size(2), width = q.dim_size(3), channels = q.dim_size(4), pad = (kernel_size - 1) / 2;
    *s = {{height, width, height, width, kernel_size, kernel_size, {1, 1}, {pad, pad}, {1, 1}},
          q.dim_size(0), q.dim_size(1), channels, heads, deformable_groups};
    tensorflow::TensorShape expected_kv = q.shape(), expected_offset = q.shape();
    expected_kv.set_dim(4, 2 * channels);
    expected_offset.set_dim(4, 2 * s->entries());
    if (channels % heads || 2 * channels % deformable_groups || kv.shape() != expected_kv ||
        offset.shape() != expected_offset)
      return absl::InvalidArgumentError(absl::StrCat(
          "deformable attention: q ", q.shape().DebugString(), " with ", heads, " heads and ", deformable_groups,
          " deformable groups needs kv ", expected_kv.DebugString(), " and offset ", expected_offset.DebugString(),
          "; received ", kv.shape().DebugString(), " and ", offset.shape().DebugString()));
    if (s->pixels() > std::numeric_limits<int>::max())
      return absl::InvalidArgumentError("deformable attention: a frame should have less than 2^31 pixels");
    return absl::OkStatus();
  }

  template <Device device>
  absl::Status forward(OpKernelContext* context) const {
    Shape s;
    TF_RETURN_IF_ERROR(shape(context, &s));
    Tensor* y;
    TF_RETURN_IF_ERROR(context->allocate_output(0, context->input(0).shape(), &y));
    if (y->NumElements() == 0) return absl::OkStatus();
    const float *q = data(context->input(0)), *kv = data(context->input(1)), *offset = data(context->input(2));
    if constexpr (device == Device::kCpu)
      deform_attn::forward(s, q, kv, offset, data(*y), parallel(context));
#ifdef ASCENDCV_CUDA
    else
      return launched(ascendcv_deform_attn(stream(context), sizes(s).data(), q, kv, offset, data(*y)));
#endif
    return absl::OkStatus();
  }

  template <Device device>
  absl::Status backward(OpKernelContext* context) const {
    Shape s;
    TF_RETURN_IF_ERROR(shape(context, &s));
    if (context->input(3).shape() != context->input(0).shape())
      return absl::InvalidArgumentError("deformable attention: grad_y should have the shape of q");
    Tensor* grads[3];
    TF_RETURN_IF_ERROR(allocate_gradients(context, grads));
    if (grads[0]->NumElements() == 0) return absl::OkStatus();
    const float *q = data(context->input(0)), *kv = data(context->input(1)), *offset = data(context->input(2));
    const float* grad_y = data(context->input(3));
    float *grad_q = data(*grads[0]), *grad_kv = data(*grads[1]), *grad_offset = data(*grads[2]);
    if constexpr (device == Device::kCpu)
      deform_attn::backward(s, q, kv, offset, grad_y, grad_q, grad_kv, grad_offset, parallel(context));
#ifdef ASCENDCV_CUDA
    else
      return launched(ascendcv_deform_attn_grad(stream(context), sizes(s).data(), q, kv, offset, grad_y, grad_q, grad_kv,
                                                grad_offset));
#endif
    return absl::OkStatus();
  }

  // As deform_attn.cu has them.
  static std::array<int, 8> sizes(const Shape& s) {
    return integers<8>(
        {s.clips, s.frames, s.height, s.width, s.channels, s.kernel_height, s.heads, s.deformable_groups});
  }
};

ASCENDCV_REGISTER("Ascendcv>DeformAttn", DeformAttn);

}  // namespace deform_attn
}  // namespace ascendcv
