// What the CUDA kernels share. The launchers are plain C: a stream, device pointers, sizes; they return a cudaError_t.
#ifndef ASCENDCV_OPS_CSRC_CUDA_COMMON_CUH_
#define ASCENDCV_OPS_CSRC_CUDA_COMMON_CUH_

#include <cuda_runtime.h>

#include <cstdint>

namespace ascendcv {

using std::int64_t;

constexpr int kThreads = 256;

inline int blocks_for(int64_t items) {
  const int64_t blocks = (items + kThreads - 1) / kThreads;
  return static_cast<int>(blocks < 65535 * 16 ? blocks : 65535 * 16);
}

// A bilinear sample: the index of the upper left neighbor, what to add for the others, and weights and their slopes by
// axis. As in sampling.h: a position at or outside -1 and the size, or NaN, weighs nothing and reads a pixel that is there.
struct Sample {
  int64_t index, right, below;
  float wy[2], wx[2], dy[2], dx[2];

  __device__ float weight(int corner) const { return wy[corner / 2] * wx[corner % 2]; }
  __device__ int64_t at(int corner) const { return index + (corner / 2 ? below : 0) + (corner % 2 ? right : 0); }
};

__device__ inline int neighbors(float position, int size, float* weight, float* slope) {
  const float last = fmaxf(size - 2, 0), step = size > 1 ? 1 : 4;
  float p = position < size ? position : size;
  p = p > -1 ? p : -1;
  const float first = fminf(fmaxf(floorf(p), 0), last), d[2] = {p - first, p - first - step};
  for (int i = 0; i < 2; ++i) weight[i] = fmaxf(1 - fabsf(d[i]), 0);
  slope[0] = d[0] >= 0 && d[0] < 1 ? -1 : d[0] < 0 && d[0] > -1 ? 1 : 0;
  slope[1] = d[1] >= 0 && d[1] < 1 ? -1 : d[1] < 0 && d[1] >= -1 ? 1 : 0;
  return static_cast<int>(first);
}

__device__ inline Sample sample_at(float y, float x, int height, int width) {
  Sample s;
  const int row = neighbors(y, height, s.wy, s.dy), column = neighbors(x, width, s.wx, s.dx);
  s.index = static_cast<int64_t>(row) * width + column;
  s.right = width > 1;
  s.below = height > 1 ? width : 0;
  return s;
}

__device__ inline float warp_sum(float value) {
  for (int lane = 16; lane; lane /= 2) value += __shfl_down_sync(0xffffffffu, value, lane);
  return value;
}

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_CUDA_COMMON_CUH_
