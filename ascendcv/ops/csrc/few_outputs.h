// The convolutions of winograd.h where the outputs are few, as where features become a picture again: directly, with the
// channels in the lanes of vectors, since outputs would leave most of a vector empty.
#ifndef ASCENDCV_OPS_CSRC_FEW_OUTPUTS_H_
#define ASCENDCV_OPS_CSRC_FEW_OUTPUTS_H_

#include "winograd.h"

namespace ascendcv {
namespace few_outputs {

using winograd::Finish;
using winograd::Shape;

constexpr int64_t kMostOutputs = 4;
constexpr int kPixels = 4;  // neighbors in a row that are computed together

// Adds one row of taps over a vector of channels: sums[pixels][outputs]. `x` is at the first pixel's first tap, `kernel`
// [taps, outputs, vector] with `stride` between the outputs.
template <int Pixels, int Outputs, int Taps, bool Whole>
inline void add_row(const float* x, int64_t pixel_stride, int64_t count, const float* kernel, int64_t stride,
                    Lanes (&sums)[Pixels][Outputs]) {
  Lanes pixels[Pixels + Taps - 1];
#pragma GCC unroll 16
  for (int i = 0; i < Pixels + Taps - 1; ++i) pixels[i] = load_lanes<Whole>(x + i * pixel_stride, count);
#pragma GCC unroll 16
  for (int i = 0; i < Pixels; ++i) __builtin_prefetch(x + (i + 2 * Pixels + Taps - 1) * pixel_stride);
#pragma GCC unroll 16
  for (int t = 0; t < Taps; ++t)
#pragma GCC unroll 16
    for (int k = 0; k < Outputs; ++k) {
      Lanes weight = load<kLanes>(kernel + (t * Outputs + k) * stride);
      keep_in_register<kLanes>(weight);
#pragma GCC unroll 16
      for (int i = 0; i < Pixels; ++i) sums[i][k] += pixels[i + t] * weight;
    }
}

// Pixels of one row of the output: values[pixels][outputs]. `x` is the first tap of the first pixel, and rows of taps
// [from, to) lie inside the image.
template <int Pixels, int Outputs, int Taps>
[[gnu::noinline]] void convolve_pixels(const float* x, int64_t row_stride, int64_t channels, int64_t from, int64_t to,
                                       const float* kernel, int64_t stride, float (&values)[kPixels][Outputs]) {
  Lanes sums[Pixels][Outputs] = {};
  for (int64_t row = from; row < to; ++row) {
    const float *pixels = x + row * row_stride, *weights = kernel + row * Taps * Outputs * stride;
    int64_t c = 0;
    for (; c + kLanes <= channels; c += kLanes)
      add_row<Pixels, Outputs, Taps, true>(pixels + c, channels, kLanes, weights + c, stride, sums);
    if (c < channels)
      add_row<Pixels, Outputs, Taps, false>(pixels + c, channels, channels - c, weights + c, stride, sums);
  }
  for (int i = 0; i < Pixels; ++i)
    for (int k = 0; k < Outputs; ++k) values[i][k] = sum<kLanes>(sums[i][k]);
}

template <int Taps, int Outputs>
void convolve_to(const Shape& s, const float* x, const float* kernel, const Finish& finish, float* y,
              const Parallel& parallel) {
  constexpr int64_t kReach = Taps / 2;
  const int64_t stride = round_up(s.channels, kLanes);
  const Buffer packed(Taps * Taps * Outputs * stride);  // [taps, taps, outputs, channels], zeros in the padding
  std::fill_n(static_cast<float*>(packed), Taps * Taps * Outputs * stride, 0.0f);
  for (int64_t t = 0; t < Taps * Taps; ++t)
    for (int64_t c = 0; c < s.channels; ++c)
      for (int64_t k = 0; k < Outputs; ++k)
        packed[(t * Outputs + k) * stride + c] = kernel[(t * s.channels + c) * Outputs + k];

  const int64_t cost = s.width * stride / kLanes * Taps * Taps * Outputs * 3 / 2;
  parallel(s.batch * s.height, cost, [&](int64_t begin, int64_t end) {
    // Pixels beside which the image ends are computed from a row of their own, with zeros around it.
    const int64_t padded_row = (kPixels + Taps - 1) * s.channels;
    const Buffer padded(Taps * padded_row);
    for (int64_t row = begin; row < end; ++row) {
      const int64_t top = row % s.height - kReach, from = std::max<int64_t>(0, -top);
      const int64_t to = std::min<int64_t>(Taps, s.height - top);
      const float* image = x + row / s.height * s.height * s.width * s.channels;
      for (int64_t column = 0; column < s.width; column += kPixels) {
        const int64_t count = std::min<int64_t>(kPixels, s.width - column), left = column - kReach;
        float values[kPixels][Outputs];
        if (left >= 0 && left + kPixels + Taps - 1 <= s.width) {
          convolve_pixels<kPixels, Outputs, Taps>(image + (top * s.width + left) * s.channels, s.width * s.channels,
                                                  s.channels, from, to, packed, stride, values);
        } else {
          std::fill_n(static_cast<float*>(padded), Taps * padded_row, 0.0f);
          const int64_t start = std::max<int64_t>(left, 0), stop = std::min(left + kPixels + Taps - 1, s.width);
          for (int64_t t = from; t < to; ++t)
            std::copy_n(image + ((top + t) * s.width + start) * s.channels, (stop - start) * s.channels,
                        padded + t * padded_row + (start - left) * s.channels);
          convolve_pixels<kPixels, Outputs, Taps>(padded, padded_row, s.channels, from, to, packed, stride, values);
        }
        for (int64_t i = 0; i < count; ++i)
          for (int64_t k = 0; k < Outputs; ++k) {
            const int64_t at = (row * s.width + column + i) * Outputs + k;
            float value = values[i][k] + (finish.bias ? finish.bias[k] : 0);
            if (finish.residual && finish.residual_first) value += finish.residual[at];
            value = value > 0 ? value : finish.slope * value;
            if (finish.residual && !finish.residual_first) value += finish.residual[at];
            y[at] = value;
          }
      }
    }
  });
}

// Whether this serves so many outputs.
inline bool serves(const Shape& s) { return s.outputs >= 1 && s.outputs <= kMostOutputs; }

template <int Taps, int Outputs = kMostOutputs>
void convolve(const Shape& s, const float* x, const float* kernel, const Finish& finish, float* y,
              const Parallel& parallel) {
  if (s.outputs == Outputs) return convolve_to<Taps, Outputs>(s, x, kernel, finish, y, parallel);
  if constexpr (Outputs > 1) convolve<Taps, Outputs - 1>(s, x, kernel, finish, y, parallel);
}

}  // namespace few_outputs
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_FEW_OUTPUTS_H_
