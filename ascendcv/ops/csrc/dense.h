// What the parts of a Transformer layer share: normalized tokens and products with weights, on float32 rows of channels.
#ifndef ASCENDCV_OPS_CSRC_DENSE_H_
#define ASCENDCV_OPS_CSRC_DENSE_H_

#include "matrix.h"

namespace ascendcv {

// Rows of a product's second matrix that are multiplied at once: with kRegisterVectors vectors of each they stay in the
// first cache.
constexpr int64_t kMostDepth = 160;

// Weights [rows, columns], with zeros behind the columns of each row up to whole vectors.
class Weights {
 public:
  Weights(const float* data, int64_t rows, int64_t columns)
      : stride(round_up(columns, kLanes)), copy_(stride == columns ? 0 : rows * stride), data_(data) {
    if (stride == columns) return;
    for (int64_t row = 0; row < rows; ++row) {
      std::copy_n(data + row * columns, columns, copy_ + row * stride);
      std::fill(copy_ + row * stride + columns, copy_ + (row + 1) * stride, 0.0f);
    }
    data_ = copy_;
  }
  operator const float*() const { return data_; }

  const int64_t stride;

 private:
  const Buffer copy_;
  const float* data_;
};

// c[m, n] = a[m, depth] b[depth, n]; n is a multiple of kLanes.
inline void product(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m, int64_t n,
                    int64_t depth) {
  const int64_t parts = divide_up(depth, kMostDepth), part = divide_up(depth, std::max<int64_t>(parts, 1));
  for (int64_t k = 0; k < depth; k += part, a.data += part * a.column_stride, b += part * b_stride)
    multiply(a, b, b_stride, c, c_stride, m, n, std::min(part, depth - k), k ? Sums::kContinued : Sums::kNew);
}

// Calls at(position, whole, count) for the vectors of `channels` channels; only the last may be less than whole.
template <typename Function>
inline void for_vectors(int64_t channels, Function at) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) at(c, std::true_type(), int64_t{kLanes});
  if (c < channels) at(c, std::false_type(), channels - c);
}

// The first `count` lanes; the others are 0.
inline Lanes first_lanes(Lanes v, int64_t count) {
  float lanes[kLanes] = {};
  store_first<kLanes>(lanes, v, count);
  return load<kLanes>(lanes);
}

// Layer normalization over the channels.
struct Norm {
  const float *gamma, *beta;
  float epsilon;

  void apply(const float* x, int64_t channels, float* y) const {
    Lanes total{}, squares{};
    for_vectors(channels, [&](int64_t c, auto whole, int64_t count) { total += load_lanes<whole>(x + c, count); });
    const float mean = sum<kLanes>(total) / channels;
    for_vectors(channels, [&](int64_t c, auto whole, int64_t count) {
      Lanes distance = load_lanes<whole>(x + c, count) - mean;
      if constexpr (!whole) distance = first_lanes(distance, count);
      squares += distance * distance;
    });
    const float factor = 1 / std::sqrt(sum<kLanes>(squares) / channels + epsilon);
    for_vectors(channels, [&](int64_t c, auto whole, int64_t count) {
      const Lanes value = (load_lanes<whole>(x + c, count) - mean) * factor;
      store_lanes<whole>(y + c, value * load_lanes<whole>(gamma + c, count) + load_lanes<whole>(beta + c, count), count);
    });
  }
};

// y = x + result + bias, one token's channels.
inline void add_to(const float* x, const float* result, const float* bias, int64_t channels, float* y) {
  for_vectors(channels, [&](int64_t c, auto whole, int64_t count) {
    const Lanes change = load_lanes<whole>(result + c, count) + load_lanes<whole>(bias + c, count);
    store_lanes<whole>(y + c, load_lanes<whole>(x + c, count) + change, count);
  });
}

// exp(x) for x <= 0 to within two units in the last place (Cody and Waite's reduction, Cephes' polynomial).
inline Lanes exponential(Lanes x) {
  typedef int32_t Integers __attribute__((vector_size(sizeof(int32_t) * kLanes)));
  const Lanes lowest = Lanes{} - 87.0f;
  x = x < lowest ? lowest : x;
  const Integers n = __builtin_convertvector(x * 1.44269504f - 0.5f, Integers);  // to nearest, as x <= 0
  const Lanes k = __builtin_convertvector(n, Lanes);
  const Lanes r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  Lanes p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const Integers power = (n + 127) << 23;
  Lanes factor;
  std::memcpy(&factor, &power, sizeof factor);
  return p * factor;
}

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_DENSE_H_
