// Cost volumes for NVIDIA GPUs, channels-last float32: what correlation.cc computes.
#include "cuda_common.cuh"

namespace ascendcv {
namespace {

struct Shape {
  int batch, height, width, channels, patch_rows, patch_columns, row_dilation, column_dilation;

  __device__ int displacements() const { return patch_rows * patch_columns; }
  __host__ __device__ int64_t pixels() const { return static_cast<int64_t>(batch) * height * width; }
  // The pixel that displacement d of `pixel` leads to (sign -1: comes from), or -1 outside.
  __device__ int64_t neighbor(int64_t pixel, int d, int sign) const {
    const int y = pixel / width % height + sign * (d / patch_columns - (patch_rows - 1) / 2) * row_dilation;
    const int x = pixel % width + sign * (d % patch_columns - (patch_columns - 1) / 2) * column_dilation;
    const bool inside = y >= 0 && y < height && x >= 0 && x < width;
    return inside ? pixel / (height * width) * height * width + static_cast<int64_t>(y) * width + x : -1;
  }
};

// A warp for each pixel; its lanes share the channels.
__global__ void forward(Shape s, float scale, const float* first, const float* second, float* volume) {
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kThreads / 32;
  const int lane = threadIdx.x % 32;
  for (int64_t p = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32; p < s.pixels(); p += warps)
    for (int d = 0; d < s.displacements(); ++d) {
      const int64_t other = s.neighbor(p, d, 1);
      float sum = 0;
      for (int c = lane; other >= 0 && c < s.channels; c += 32) sum += first[p * s.channels + c] * second[other * s.channels + c];
      sum = warp_sum(sum);
      if (lane == 0) volume[p * s.displacements() + d] = scale * sum;
    }
}

// A thread for each value: sign 1 for `first`, whose gradient gathers from `second`, and -1 the other way round.
__global__ void gradient(Shape s, float scale, int sign, const float* grad, const float* other, float* result) {
  const int64_t items = s.pixels() * s.channels, threads = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < items; i += threads) {
    const int64_t p = i / s.channels;
    float sum = 0;
    for (int d = 0; d < s.displacements(); ++d) {
      const int64_t at = s.neighbor(p, d, sign);
      if (at >= 0) sum += grad[(sign > 0 ? p : at) * s.displacements() + d] * other[at * s.channels + i % s.channels];
    }
    result[i] = scale * sum;
  }
}

}  // namespace
}  // namespace ascendcv

using ascendcv::Shape;

// sizes: the members of Shape, in order.
extern "C" int ascendcv_correlation(cudaStream_t stream, const int* sizes, float scale, const float* first,
                                    const float* second, float* volume) {
  const Shape s = *reinterpret_cast<const Shape*>(sizes);
  if (s.pixels() == 0) return cudaSuccess;
  ascendcv::forward<<<ascendcv::blocks_for(s.pixels() * 32), ascendcv::kThreads, 0, stream>>>(s, scale, first, second, volume);
  return cudaGetLastError();
}

extern "C" int ascendcv_correlation_grad(cudaStream_t stream, const int* sizes, float scale, const float* first,
                                         const float* second, const float* grad, float* grad_first, float* grad_second) {
  const Shape s = *reinterpret_cast<const Shape*>(sizes);
  if (s.pixels() * s.channels == 0) return cudaSuccess;
  const int blocks = ascendcv::blocks_for(s.pixels() * s.channels);
  ascendcv::gradient<<<blocks, ascendcv::kThreads, 0, stream>>>(s, scale, 1, grad, second, grad_first);
  ascendcv::gradient<<<blocks, ascendcv::kThreads, 0, stream>>>(s, scale, -1, grad, first, grad_second);
  return cudaGetLastError();
}
