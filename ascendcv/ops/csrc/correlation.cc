// Cost volumes as TensorFlow ops.
#include "correlation.h"

#include "tensorflow_op.h"

#ifdef ASCENDCV_CUDA
extern "C" int ascendcv_correlation(void* stream, const int* sizes, float scale, const float* first, const float* second,
                                    float* volume);
extern "C" int ascendcv_correlation_grad(void* stream, const int* sizes, float scale, const float* first,
                                         const float* second, const float* grad, float* grad_first, float* grad_second);
#endif

namespace ascendcv {
namespace correlation {

using tensorflow::OpKernelContext;
using tensorflow::Tensor;

#define ASCENDCV_CORRELATION_ATTRIBUTES Attr("patch: list(int)").Attr("dilation: list(int)").Attr("scale: float")

struct Attributes {
  std::vector<int64_t> patch, dilation;
  float scale;

  template <typename Context>
  absl::Status read(Context* context) {
    TF_RETURN_IF_ERROR(context->GetAttr("patch", &patch));
    TF_RETURN_IF_ERROR(context->GetAttr("dilation", &dilation));
    TF_RETURN_IF_ERROR(context->GetAttr("scale", &scale));
    if (patch.size() != 2 || dilation.size() != 2)
      return absl::InvalidArgumentError("patch and dilation take two numbers each: y and x");
    if (std::min({patch[0], patch[1], dilation[0], dilation[1]}) < 1)
      return absl::InvalidArgumentError("patch and dilation should be at least 1");
    return absl::OkStatus();
  }
};

REGISTER_OP("Ascendcv>Correlation")
    .Input("first: float")
    .Input("second: float")
    .Output("volume: float")
    .ASCENDCV_CORRELATION_ATTRIBUTES.SetShapeFn([](InferenceContext* c) {
      ShapeHandle image;
      TF_RETURN_IF_ERROR(c->Merge(c->input(0), c->input(1), &image));
      TF_RETURN_IF_ERROR(c->WithRank(image, 4, &image));
      Attributes attributes;
      TF_RETURN_IF_ERROR(attributes.read(c));
      const DimensionHandle displacements = c->MakeDim(attributes.patch[0] * attributes.patch[1]);
      c->set_output(0, c->MakeShape({c->Dim(image, 0), c->Dim(image, 1), c->Dim(image, 2), displacements}));
      return absl::OkStatus();
    })
    .Doc("Cost volume. Registered by `import ascendcv.ops.fused; ascendcv.ops.fused.load('correlation')`.");

REGISTER_OP("Ascendcv>CorrelationGrad")
    .Input("first: float")
    .Input("second: float")
    .Input("grad_volume: float")
    .Output("grad_first: float")
    .Output("grad_second: float")
    .ASCENDCV_CORRELATION_ATTRIBUTES.SetShapeFn(gradient_shapes);

struct Correlation : Attributes {
  absl::Status shape(OpKernelContext* context, Shape* s) const {
    const Tensor& first = context->input(0);
    if (first.dims() != 4 || first.shape() != context->input(1).shape())
      return absl::InvalidArgumentError(
          absl::StrCat("correlation: the images should have one shape [N, H, W, C]; received ",
                       first.shape().DebugString(), " and ", context->input(1).shape().DebugString()));
    *s = {first.dim_size(0), first.dim_size(1), first.dim_size(2), first.dim_size(3), patch[0], patch[1],
          dilation[0],       dilation[1],       scale};
    return absl::OkStatus();
  }

  template <Device device>
  absl::Status forward(OpKernelContext* context) const {
    Shape s;
    TF_RETURN_IF_ERROR(shape(context, &s));
    Tensor* volume;
    TF_RETURN_IF_ERROR(context->allocate_output(0, {s.batch, s.height, s.width, s.displacements()}, &volume));
    const float *first = data(context->input(0)), *second = data(context->input(1));
    if constexpr (device == Device::kCpu)
      correlation::forward(s, first, second, data(*volume), parallel(context));
#ifdef ASCENDCV_CUDA
    else
      return launched(ascendcv_correlation(stream(context), sizes(s).data(), scale, first, second, data(*volume)));
#endif
    return absl::OkStatus();
  }

  template <Device device>
  absl::Status backward(OpKernelContext* context) const {
    Shape s;
    TF_RETURN_IF_ERROR(shape(context, &s));
    if (context->input(2).shape() != tensorflow::TensorShape({s.batch, s.height, s.width, s.displacements()}))
      return absl::InvalidArgumentError("correlation: grad_volume should have the volume's shape");
    Tensor* grads[2];
    TF_RETURN_IF_ERROR(allocate_gradients(context, grads));
    const float *first = data(context->input(0)), *second = data(context->input(1)), *grad = data(context->input(2));
    if constexpr (device == Device::kCpu) {
      gradient<1>(s, grad, second, data(*grads[0]), parallel(context));
      gradient<-1>(s, grad, first, data(*grads[1]), parallel(context));
    }
#ifdef ASCENDCV_CUDA
    else
      return launched(ascendcv_correlation_grad(stream(context), sizes(s).data(), scale, first, second, grad,
                                                data(*grads[0]), data(*grads[1])));
#endif
    return absl::OkStatus();
  }

  // As correlation.cu has them.
  static std::array<int, 8> sizes(const Shape& s) {
    return integers<8>({s.batch, s.height, s.width, s.channels, s.patch_rows, s.patch_columns, s.row_dilation,
                        s.column_dilation});
  }
};

ASCENDCV_REGISTER("Ascendcv>Correlation", Correlation);

}  // namespace correlation
}  // namespace ascendcv
