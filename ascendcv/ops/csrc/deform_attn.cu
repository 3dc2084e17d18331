// Deformable attention of RVRT for NVIDIA GPUs, channels-last float32: what deform_attn.cc computes.
//
// One warp attends for one head of one pixel; its lanes share the head's channels, and its scores lie in shared memory.
// Backward adds to the gradients of kv and offset atomically (so their last bits vary from run to run).
#include "cuda_common.cuh"

namespace ascendcv {
namespace {

constexpr int kWarps = kThreads / 32;

struct Shape {
  int clips, frames, height, width, channels, kernel_size, heads, deformable_groups;

  __host__ __device__ int64_t pixels() const { return static_cast<int64_t>(clips) * frames * height * width; }
  __host__ __device__ int taps() const { return kernel_size * kernel_size; }
  __host__ __device__ int places() const { return frames * taps(); }
  __device__ int head_channels() const { return channels / heads; }
  // The entry of the offsets that place `place` of a pixel has for a channel of kv.
  __device__ int64_t entry(int64_t pixel, int place, int channel) const {
    const int group = channel / (2 * channels / deformable_groups);
    return ((pixel * frames + place / taps()) * deformable_groups + group) * taps() + place % taps();
  }
  __device__ Sample sample(const float* offset, int64_t pixel, int place, int channel) const {
    const int tap = place % taps(), x = pixel % width, y = pixel / width % height, pad = (kernel_size - 1) / 2;
    const float* moved = offset + 2 * entry(pixel, place, channel);
    return sample_at(y - pad + tap / kernel_size + moved[0], x - pad + tap % kernel_size + moved[1], height, width);
  }
  // The first value of the frame that a place samples.
  __device__ int64_t image(int64_t pixel, int place) const {
    const int64_t frame = pixel / (height * width);
    return (frame / frames * frames + (frame + place / taps()) % frames) * height * width * 2 * channels;
  }
};

__device__ float value_of(const Shape& s, const Sample& sample, const float* image, int channel) {
  float value = 0;
  for (int i = 0; i < 4; ++i) value += sample.weight(i) * image[sample.at(i) * 2 * s.channels + channel];
  return value;
}

// dots[place] = vector . the samples of kv's channels from `first` on, for one head.
__device__ void score(const Shape& s, int64_t pixel, const float* vector, int first, const float* kv,
                      const float* offset, float scale, float* dots) {
  for (int place = 0; place < s.places(); ++place) {
    float sum = 0;
    for (int c = threadIdx.x % 32; c < s.head_channels(); c += 32)
      sum += vector[c] * value_of(s, s.sample(offset, pixel, place, first + c), kv + s.image(pixel, place), first + c);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) dots[place] = scale * sum;
  }
  __syncwarp();
}

// The lanes all do the same: there are few places.
__device__ void softmax(int places, float* weights) {
  float most = weights[0], total = 0;
  for (int i = 1; i < places; ++i) most = fmaxf(most, weights[i]);
  for (int i = 0; i < places; ++i) total += expf(weights[i] - most);
  __syncwarp();
  for (int i = threadIdx.x % 32; i < places; i += 32) weights[i] = expf(weights[i] - most) / total;
  __syncwarp();
}

__global__ void forward(Shape s, const float* q, const float* kv, const float* offset, float* y) {
  extern __shared__ float shared[];
  float* weights = shared + threadIdx.x / 32 * s.places();
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; i < s.pixels() * s.heads; i += warps) {
    const int64_t pixel = i / s.heads;
    const int first = i % s.heads * s.head_channels();
    score(s, pixel, q + pixel * s.channels + first, first, kv, offset, rsqrtf(s.head_channels()), weights);
    softmax(s.places(), weights);
    for (int c = first + threadIdx.x % 32; c < first + s.head_channels(); c += 32) {
      float sum = 0;
      for (int place = 0; place < s.places(); ++place)
        sum += weights[place] * value_of(s, s.sample(offset, pixel, place, s.channels + c),
                                         kv + s.image(pixel, place), s.channels + c);
      y[pixel * s.channels + c] = sum;
    }
    __syncwarp();
  }
}

// Gradients through coefficients[place] * (vector . sample): of kv and offset; adds coefficient * sample to `result`.
__device__ void spread(const Shape& s, int64_t pixel, const float* vector, int first, const float* kv,
                       const float* offset, const float* coefficients, float scale, float* grad_kv, float* grad_offset,
                       float* result) {
  for (int c = threadIdx.x % 32; c < s.head_channels(); c += 32) {
    const int channel = first + c;
    float sum = 0;
    for (int place = 0; place < s.places(); ++place) {
      const Sample sample = s.sample(offset, pixel, place, channel);
      const int64_t image = s.image(pixel, place);
      const float gradient = scale * coefficients[place] * vector[c];
      float value = 0, slope_y = 0, slope_x = 0;
      for (int i = 0; i < 4; ++i) {
        const int64_t at = image + sample.at(i) * 2 * s.channels + channel;
        value += sample.weight(i) * kv[at];
        slope_y += sample.dy[i / 2] * sample.wx[i % 2] * kv[at];
        slope_x += sample.wy[i / 2] * sample.dx[i % 2] * kv[at];
        if (sample.weight(i) != 0) atomicAdd(grad_kv + at, gradient * sample.weight(i));
      }
      sum += scale * coefficients[place] * value;
      float* to = grad_offset + 2 * s.entry(pixel, place, channel);
      atomicAdd(to, gradient * slope_y);
      atomicAdd(to + 1, gradient * slope_x);
    }
    if (result) result[c] = sum;
  }
}

__global__ void backward(Shape s, const float* q, const float* kv, const float* offset, const float* grad_y,
                         float* grad_q, float* grad_kv, float* grad_offset) {
  extern __shared__ float shared[];
  float* weights = shared + threadIdx.x / 32 * 2 * s.places();
  float* scores = weights + s.places();
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; i < s.pixels() * s.heads; i += warps) {
    const int64_t pixel = i / s.heads;
    const int first = i % s.heads * s.head_channels();
    const float scale = rsqrtf(s.head_channels());
    const float *query = q + pixel * s.channels + first, *upstream = grad_y + pixel * s.channels + first;
    score(s, pixel, query, first, kv, offset, scale, weights);
    softmax(s.places(), weights);
    score(s, pixel, upstream, s.channels + first, kv, offset, 1, scores);
    float mean = 0;
    for (int place = 0; place < s.places(); ++place) mean += weights[place] * scores[place];
    __syncwarp();
    for (int place = threadIdx.x % 32; place < s.places(); place += 32) scores[place] = weights[place] * (scores[place] - mean);
    __syncwarp();
    spread(s, pixel, query, first, kv, offset, scores, scale, grad_kv, grad_offset, grad_q + pixel * s.channels + first);
    spread(s, pixel, upstream, s.channels + first, kv, offset, weights, 1, grad_kv, grad_offset, nullptr);
    __syncwarp();
  }
}

}  // namespace
}  // namespace ascendcv

using ascendcv::Shape;

// sizes: the members of Shape, in order.
extern "C" int ascendcv_deform_attn(cudaStream_t stream, const int* sizes, const float* q, const float* kv,
                                    const float* offset, float* y) {
  const Shape s = *reinterpret_cast<const Shape*>(sizes);
  if (s.pixels() == 0) return cudaSuccess;
  const size_t shared = sizeof(float) * ascendcv::kWarps * s.places();
  ascendcv::forward<<<ascendcv::blocks_for(s.pixels() * s.heads * 32), ascendcv::kThreads, shared, stream>>>(s, q, kv, offset, y);
  return cudaGetLastError();
}

extern "C" int ascendcv_deform_attn_grad(cudaStream_t stream, const int* sizes, const float* q, const float* kv,
                                         const float* offset, const float* grad_y, float* grad_q, float* grad_kv,
                                         float* grad_offset) {
  const Shape s = *reinterpret_cast<const Shape*>(sizes);
  if (s.pixels() == 0) return cudaSuccess;
  cudaMemsetAsync(grad_kv, 0, sizeof(float) * s.pixels() * 2 * s.channels, stream);
  cudaMemsetAsync(grad_offset, 0, sizeof(float) * s.pixels() * s.places() * s.deformable_groups * 2, stream);
  const size_t shared = sizeof(float) * ascendcv::kWarps * 2 * s.places();
  ascendcv::backward<<<ascendcv::blocks_for(s.pixels() * s.heads * 32), ascendcv::kThreads, shared, stream>>>(
      s, q, kv, offset, grad_y, grad_q, grad_kv, grad_offset);
  return cudaGetLastError();
}
