// What every TensorFlow op here needs.
#ifndef ASCENDCV_OPS_CSRC_TENSORFLOW_OP_H_
#define ASCENDCV_OPS_CSRC_TENSORFLOW_OP_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"
#include "tensorflow/core/lib/core/threadpool.h"

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

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_TENSORFLOW_OP_H_
