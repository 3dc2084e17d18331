// The feed-forward part of a Transformer layer on channels-last float32, a block of tokens at a time:
//   y = x + GELU(norm(x) kernel1 + bias1) kernel2 + bias2
// The hidden channels, a multiple of those of x, are never stored for more than a block.
#ifndef ASCENDCV_OPS_CSRC_FEED_FORWARD_H_
#define ASCENDCV_OPS_CSRC_FEED_FORWARD_H_

#include "dense.h"

namespace ascendcv {
namespace feed_forward {

constexpr int64_t kTokens = 96;

// The exact GELU, x times the normal distribution's integral, which is a half and x P(x^2) / Q(x^2) up to 5.5 to 7e-9:
// an own fit that makes the largest error the smallest.
inline Lanes gelu(Lanes x) {
  constexpr float kEnd = 5.5f;
  Lanes z = x < -kEnd ? Lanes{} - kEnd : x;
  z = z > kEnd ? Lanes{} + kEnd : z;
  const Lanes t = z * z;
  Lanes p = 2.274931900e-08f * t + 6.352131956e-06f;
  p = p * t + 1.688271762e-04f;
  p = p * t + 4.677269846e-03f;
  p = p * t + 3.385278987e-02f;
  p = p * t + 3.989422346e-01f;
  Lanes q = 1.197503613e-06f * t + 7.364800315e-05f;
  q = q * t + 1.884453335e-03f;
  q = q * t + 2.864595469e-02f;
  q = q * t + 2.515222786e-01f;
  q = q * t + 1.000000000e+00f;
  const Lanes below = 0.5f + z * (p / q);
  return x < -kEnd ? x * 0.0f : x > kEnd ? x : x * below;
}

// [channels, hidden], [hidden], [hidden, channels], [channels].
struct Layer {
  const float *kernel1, *bias1, *kernel2, *bias2;
};

// x, y: [tokens, channels]; norm may be null.
inline void forward(int64_t tokens, int64_t channels, int64_t hidden, const Norm* norm, const Layer& layer, const float* x,
                    float* y, const Parallel& parallel) {
  const Weights first(layer.kernel1, channels, hidden), second(layer.kernel2, hidden, channels);
  const int64_t cost = kTokens * channels * (2 * hidden + 40) / kLanes;
  parallel(divide_up(tokens, kTokens), cost, [&](int64_t begin, int64_t end) {
    const LargeBuffer memory(kTokens * (first.stride + second.stride + channels));
    float *inner = memory, *result = inner + kTokens * first.stride, *normed = result + kTokens * second.stride;
    for (int64_t block = begin; block < end; ++block) {
      const int64_t count = std::min(kTokens, tokens - block * kTokens);
      const float *from = x + block * kTokens * channels, *features = norm ? normed : from;
      if (norm)
        for (int64_t t = 0; t < count; ++t) norm->apply(from + t * channels, channels, normed + t * channels);
      product({features, channels, 1}, first, first.stride, inner, first.stride, count, first.stride, channels);
      for (int64_t t = 0; t < count; ++t)
        for_vectors(hidden, [&](int64_t c, auto whole, int64_t lanes) {
          float* at = inner + t * first.stride + c;
          store_lanes<whole>(at, gelu(load_lanes<whole>(at, lanes) + load_lanes<whole>(layer.bias1 + c, lanes)), lanes);
        });
      product({inner, first.stride, 1}, second, second.stride, result, second.stride, count, second.stride, hidden);
      for (int64_t t = 0; t < count; ++t)
        add_to(from + t * channels, result + t * second.stride, layer.bias2, channels,
               y + (block * kTokens + t) * channels);
    }
  });
}

}  // namespace feed_forward
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_FEED_FORWARD_H_
