// What every TensorFlow op here needs: a struct with its attributes becomes the kernels of the op and of its gradient.
#ifndef ASCENDCV_OPS_CSRC_TENSORFLOW_OP_H_
#define ASCENDCV_OPS_CSRC_TENSORFLOW_OP_H_

#include <array>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"
#ifdef ASCENDCV_CUDA
#include "xla/stream_executor/stream.h"
#endif

namespace ascendcv {

using tensorflow::shape_inference::DimensionHandle;
using tensorflow::shape_inference::InferenceContext;
using tensorflow::shape_inference::ShapeHandle;

inline const float* data(const tensorflow::Tensor& tensor) { return tensor.flat<float>().data(); }
inline float* data(tensorflow::Tensor& tensor) { return tensor.flat<float>().data(); }

// TensorFlow's own threads.
inline Parallel parallel(tensorflow::OpKernelContext* context) {
  auto* workers = context->device()->tensorflow_cpu_worker_threads()->workers;
  return [workers](int64_t total, int64_t cost, const Work& work) {
    using tensorflow::thread::ThreadPool;
    if (total > 0) workers->ParallelFor(total, ThreadPool::SchedulingParams::Adaptive(std::max<int64_t>(cost, 1)), work);
  };
}

enum class Device { kCpu, kGpu };

// The sizes that a launcher takes.
template <size_t N>
std::array<int, N> integers(const int64_t (&sizes)[N]) {
  std::array<int, N> result;
  std::copy_n(sizes, N, result.begin());
  return result;
}

#ifdef ASCENDCV_CUDA
// The CUDA stream on which TensorFlow computes, for the launchers of the .cu files.
inline void* stream(tensorflow::OpKernelContext* context) {
  return context->op_device_context()->stream()->platform_specific_handle().stream;
}

// What a launcher returned, a cudaError_t.
inline absl::Status launched(int error) {
  return error ? absl::InternalError(absl::StrCat("CUDA error ", error)) : absl::OkStatus();
}
#endif

// `Operation` is default-constructible and has read(context), which reads its attributes, and the computation.
template <typename Operation, absl::Status (Operation::*compute)(tensorflow::OpKernelContext*) const>
class Kernel : public tensorflow::OpKernel {
 public:
  explicit Kernel(tensorflow::OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, operation_.read(context));
  }

  void Compute(tensorflow::OpKernelContext* context) override { OP_REQUIRES_OK(context, (operation_.*compute)(context)); }

 private:
  Operation operation_;
};

// Each gradient is shaped as the input of its position.
inline absl::Status gradient_shapes(InferenceContext* c) {
  for (int i = 0; i < c->num_outputs(); ++i) c->set_output(i, c->input(i));
  return absl::OkStatus();
}

inline absl::Status allocate_gradients(tensorflow::OpKernelContext* context, tensorflow::Tensor** grads) {
  for (int i = 0; i < context->num_outputs(); ++i)
    TF_RETURN_IF_ERROR(context->allocate_output(i, context->input(i).shape(), &grads[i]));
  return absl::OkStatus();
}

// The kernel of the op `name`, for processors alone.
#define ASCENDCV_REGISTER_CPU(name, Operation) \
  REGISTER_KERNEL_BUILDER(Name(name).Device(tensorflow::DEVICE_CPU), Kernel<Operation, &Operation::compute>)

#define ASCENDCV_REGISTER_ON(name, Operation, type, device)                                                  \
  REGISTER_KERNEL_BUILDER(Name(name).Device(type), Kernel<Operation, &Operation::forward<device>>);          \
  REGISTER_KERNEL_BUILDER(Name(name "Grad").Device(type), Kernel<Operation, &Operation::backward<device>>)

// The kernels of the ops `name` and `name`Grad, on processors and, where nvcc takes part in the build, on GPUs.
#ifdef ASCENDCV_CUDA
#define ASCENDCV_REGISTER(name, Operation)                                         \
  ASCENDCV_REGISTER_ON(name, Operation, tensorflow::DEVICE_CPU, Device::kCpu);     \
  ASCENDCV_REGISTER_ON(name, Operation, tensorflow::DEVICE_GPU, Device::kGpu)
#else
#define ASCENDCV_REGISTER(name, Operation) ASCENDCV_REGISTER_ON(name, Operation, tensorflow::DEVICE_CPU, Device::kCpu)
#endif

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_TENSORFLOW_OP_H_
