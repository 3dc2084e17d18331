// Modulated deformable convolution v2 for NVIDIA GPUs, channels-last float32: what deform_conv.cc computes.
//
// Forward: a matrix product of tiles in shared memory, whose left side is sampled on the way in. Backward: gradients by
// sample, one warp for each, added to the input's gradient atomically (so its last bits vary from run to run).
#include "cuda_common.cuh"

namespace ascendcv {
namespace {

constexpr int kTile = 64, kDepth = 16;

struct Shape {
  int batch, height, width, channels, out_height, out_width, out_channels, kernel_height, kernel_width;
  int stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x, groups, deformable_groups;

  __host__ __device__ int64_t pixels() const { return static_cast<int64_t>(batch) * out_height * out_width; }
  __host__ __device__ int taps() const { return kernel_height * kernel_width; }
  __host__ __device__ int group_channels() const { return channels / groups; }
  __host__ __device__ int group_outputs() const { return out_channels / groups; }
  __device__ int64_t entry(int64_t pixel, int group, int tap) const {
    return (pixel * deformable_groups + group) * taps() + tap;
  }
  __device__ int64_t image(int64_t pixel) const { return pixel / (out_height * out_width) * height * width; }
  __device__ Sample sample(const float* offset, int64_t pixel, int group, int tap) const {
    const int x = pixel % out_width, y = pixel / out_width % out_height;
    const float* moved = offset + 2 * entry(pixel, group, tap);
    return sample_at(y * stride_y - padding_y + tap / kernel_width * dilation_y + moved[0],
                     x * stride_x - padding_x + tap % kernel_width * dilation_x + moved[1], height, width);
  }
};

__device__ float value_of(const Shape& s, const Sample& sample, const float* image, int channel) {
  float value = 0;
  if (s.height * s.width == 0) return value;  // an empty image has no pixel to read
  for (int i = 0; i < 4; ++i) value += sample.weight(i) * image[sample.at(i) * s.channels + channel];
  return value;
}

// 64 pixels by 64 outputs of one group; a thread has 4 by 4 of them.
__global__ void forward(Shape s, const float* x, const float* offset, const float* mask, const float* kernel,
                        const float* bias, float* y) {
  __shared__ float samples[kDepth][kTile + 4], weights[kDepth][kTile];
  const int64_t first_pixel = static_cast<int64_t>(blockIdx.x) * kTile;
  const int first_output = blockIdx.y * kTile, group = blockIdx.z;
  const int64_t pixel = first_pixel + threadIdx.x / 4;
  const int row = threadIdx.x / 16 * 4, column = threadIdx.x % 16 * 4;
  float sums[4][4] = {};
  for (int tap = 0; tap < s.taps(); ++tap)
    for (int c0 = 0; c0 < s.group_channels(); c0 += kDepth) {
      Sample sample;
      int sampled_group = -1;
      float factor = 0;
      for (int i = 0; i < 4; ++i) {
        const int depth = threadIdx.x % 4 * 4 + i, channel = group * s.group_channels() + c0 + depth;
        float value = 0;
        if (pixel < s.pixels() && c0 + depth < s.group_channels()) {
          const int deformable = channel / (s.channels / s.deformable_groups);
          if (deformable != sampled_group) {
            sample = s.sample(offset, pixel, deformable, tap);
            factor = mask ? mask[s.entry(pixel, deformable, tap)] : 1;
            sampled_group = deformable;
          }
          value = factor * value_of(s, sample, x + s.image(pixel) * s.channels, channel);
        }
        samples[depth][threadIdx.x / 4] = value;
      }
      for (int i = 0; i < 4; ++i) {
        const int depth = threadIdx.x / 16, output = first_output + column + i;
        const bool inside = c0 + depth < s.group_channels() && output < s.group_outputs();
        const int64_t at = static_cast<int64_t>(tap * s.group_channels() + c0 + depth) * s.out_channels;
        weights[depth][column + i] = inside ? kernel[at + group * s.group_outputs() + output] : 0;
      }
      __syncthreads();
      for (int depth = 0; depth < kDepth; ++depth)
        for (int i = 0; i < 4; ++i)
          for (int j = 0; j < 4; ++j) sums[i][j] += samples[depth][row + i] * weights[depth][column + j];
      __syncthreads();
    }
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 4; ++j) {
      const int64_t p = first_pixel + row + i;
      const int output = first_output + column + j, channel = group * s.group_outputs() + output;
      if (p < s.pixels() && output < s.group_outputs()) y[p * s.out_channels + channel] = sums[i][j] + bias[channel];
    }
}

// A warp for each (pixel, deformable group, tap): the gradients of offset and mask, and its part of the input's.
__global__ void sample_gradients(Shape s, const float* x, const float* offset, const float* mask, const float* kernel,
                                 const float* grad_y, float* grad_x, float* grad_offset, float* grad_mask) {
  const int64_t entries = s.pixels() * s.deformable_groups * s.taps(), warps = static_cast<int64_t>(gridDim.x) * kThreads / 32;
  const int lane = threadIdx.x % 32, channels = s.channels / s.deformable_groups;
  for (int64_t e = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) / 32; e < entries; e += warps) {
    const int tap = e % s.taps(), deformable = e / s.taps() % s.deformable_groups;
    const int64_t pixel = e / s.taps() / s.deformable_groups, image = s.image(pixel) * s.channels;
    const Sample sample = s.sample(offset, pixel, deformable, tap);
    const float factor = mask ? mask[e] : 1;
    float products[4] = {};
    for (int c = deformable * channels + lane; s.height * s.width && c < (deformable + 1) * channels; c += 32) {
      const int group = c / s.group_channels();
      const float* row = kernel + static_cast<int64_t>(tap * s.group_channels() + c % s.group_channels()) * s.out_channels;
      float gradient = 0;
      for (int o = group * s.group_outputs(); o < (group + 1) * s.group_outputs(); ++o)
        gradient += grad_y[pixel * s.out_channels + o] * row[o];
      for (int i = 0; i < 4; ++i) {
        const int64_t at = image + sample.at(i) * s.channels + c;
        products[i] += gradient * x[at];
        if (sample.weight(i) != 0) atomicAdd(grad_x + at, factor * sample.weight(i) * gradient);
      }
    }
    for (int i = 0; i < 4; ++i) products[i] = warp_sum(products[i]);
    if (lane == 0) {
      float value = 0, slope_y = 0, slope_x = 0;
      for (int i = 0; i < 4; ++i) {
        value += sample.weight(i) * products[i];
        slope_y += sample.dy[i / 2] * sample.wx[i % 2] * products[i];
        slope_x += sample.wy[i / 2] * sample.dx[i % 2] * products[i];
      }
      if (grad_mask) grad_mask[e] = value;
      grad_offset[2 * e] = factor * slope_y;
      grad_offset[2 * e + 1] = factor * slope_x;
    }
  }
}

// A block for each kernel row (tap, channel of a group): samples of kThreads pixels at a time meet all outputs.
__global__ void kernel_gradient(Shape s, const float* x, const float* offset, const float* mask, const float* grad_y,
                                float* grad_kernel) {
  __shared__ float samples[kThreads];
  const int tap = blockIdx.x / s.group_channels(), c = blockIdx.x % s.group_channels(), group = blockIdx.y;
  const int channel = group * s.group_channels() + c, deformable = channel / (s.channels / s.deformable_groups);
  for (int o0 = 0; o0 < s.group_outputs(); o0 += kThreads) {
    const int output = group * s.group_outputs() + o0 + threadIdx.x;
    const bool inside = o0 + static_cast<int>(threadIdx.x) < s.group_outputs();
    float sum = 0;
    for (int64_t p0 = 0; p0 < s.pixels(); p0 += kThreads) {
      const int64_t p = p0 + threadIdx.x;
      if (p < s.pixels()) {
        const Sample sample = s.sample(offset, p, deformable, tap);
        samples[threadIdx.x] = (mask ? mask[s.entry(p, deformable, tap)] : 1) *
                               value_of(s, sample, x + s.image(p) * s.channels, channel);
      }
      __syncthreads();
      for (int i = 0; inside && i < kThreads && p0 + i < s.pixels(); ++i)
        sum += samples[i] * grad_y[(p0 + i) * s.out_channels + output];
      __syncthreads();
    }
    if (inside) grad_kernel[static_cast<int64_t>(blockIdx.x) * s.out_channels + output] = sum;
  }
}

__global__ void bias_gradient(Shape s, const float* grad_y, float* grad_bias) {
  __shared__ float sums[kThreads / 32];
  float sum = 0;
  for (int64_t p = threadIdx.x; p < s.pixels(); p += kThreads) sum += grad_y[p * s.out_channels + blockIdx.x];
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int i = 1; i < kThreads / 32; ++i) sum += sums[i];
    grad_bias[blockIdx.x] = sum;
  }
}

}  // namespace
}  // namespace ascendcv

using ascendcv::Shape;

// sizes: the members of Shape, in order. mask (and grad_mask) may be null.
extern "C" int ascendcv_deform_conv2d(cudaStream_t stream, const int* sizes, const float* x, const float* offset,
                                      const float* mask, const float* kernel, const float* bias, float* y) {
  const Shape s = *reinterpret_cast<const Shape*>(sizes);
  if (s.pixels() == 0) return cudaSuccess;
  const dim3 grid((s.pixels() + ascendcv::kTile - 1) / ascendcv::kTile,
                  (s.group_outputs() + ascendcv::kTile - 1) / ascendcv::kTile, s.groups);
  ascendcv::forward<<<grid, ascendcv::kThreads, 0, stream>>>(s, x, offset, mask, kernel, bias, y);
  return cudaGetLastError();
}

extern "C" int ascendcv_deform_conv2d_grad(cudaStream_t stream, const int* sizes, const float* x, const float* offset,
                                           const float* mask, const float* kernel, const float* grad_y, float* grad_x,
                                           float* grad_offset, float* grad_mask, float* grad_kernel, float* grad_bias) {
  const Shape s = *reinterpret_cast<const Shape*>(sizes);
  cudaMemsetAsync(grad_x, 0, sizeof(float) * s.batch * s.height * s.width * s.channels, stream);
  if (const int64_t entries = s.pixels() * s.deformable_groups * s.taps())
    ascendcv::sample_gradients<<<ascendcv::blocks_for(entries * 32), ascendcv::kThreads, 0, stream>>>(
        s, x, offset, mask, kernel, grad_y, grad_x, grad_offset, grad_mask);
  ascendcv::kernel_gradient<<<dim3(s.taps() * s.group_channels(), s.groups), ascendcv::kThreads, 0, stream>>>(
      s, x, offset, mask, grad_y, grad_kernel);
  ascendcv::bias_gradient<<<s.out_channels, ascendcv::kThreads, 0, stream>>>(s, grad_y, grad_bias);
  return cudaGetLastError();
}
