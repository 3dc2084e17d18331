// The transforms of Winograd's minimal filtering along one axis (see winograd.h): of patches of the input, of products
// back to tiles of the output, of tiles of the output's gradient, and of kernels.
#ifndef ASCENDCV_OPS_CSRC_WINOGRAD_TRANSFORMS_H_
#define ASCENDCV_OPS_CSRC_WINOGRAD_TRANSFORMS_H_

#include <array>

#include "common.h"

namespace ascendcv {
namespace winograd {

// The points of interpolation of a patch: 0 where it has an even number of values, +-kPair, infinity.
template <int Patch>
struct Points;
template <>
struct Points<6> {
  static constexpr float kPair[] = {0.625f, 1.5f};
};
template <>
struct Points<7> {
  static constexpr float kPair[] = {0.25f, 0.875f, 1.75f};
};
template <>
struct Points<8> {
  static constexpr float kPair[] = {0.5f, 1.0f, 2.0f};
};
template <int Patch>
constexpr int kPairs = (Patch - 1) / 2;
template <int Patch>
constexpr int kZeros = 1 - Patch % 2;  // the points 0, which come before the pairs

constexpr float power(float x, int exponent) { return exponent ? x * power(x, exponent - 1) : 1; }

// The coefficients of x^0, x^2, ... in prod (x^2 - p^2) over the pairs +-p, but for the pair `without`.
template <int Patch>
constexpr std::array<float, kPairs<Patch> + 1> even_polynomial(int without) {
  std::array<float, kPairs<Patch> + 1> product{1};
  for (int pair = 0; pair < kPairs<Patch>; ++pair)
    if (pair != without)
      for (int i = kPairs<Patch>; i >= 0; --i)
        product[i] = (i ? product[i - 1] : 0) - power(Points<Patch>::kPair[pair], 2) * product[i];
  return product;
}

// The values d[first], d[first + 2], ... times these coefficients, of which the one of the highest power is 1.
template <int Patch, int Without>
inline Lanes even_values(const Lanes (&d)[Patch], int first) {
  constexpr auto coefficients = even_polynomial<Patch>(Without);
  constexpr int highest = kPairs<Patch> - (Without >= 0);
  Lanes sum = d[first + 2 * highest];
#pragma GCC unroll 8
  for (int i = highest - 1; i >= 0; --i) sum += coefficients[i] * d[first + 2 * i];
  return sum;
}

// B': the values of the input. The rows are the coefficients of prod (x - p) over the other points.
template <int Patch, int Pair = 0>
inline void transform_patch(const Lanes (&d)[Patch], Lanes (&v)[Patch]) {
  constexpr int zeros = kZeros<Patch>;
  if constexpr (Pair < kPairs<Patch>) {
    const Lanes even = even_values<Patch, Pair>(d, zeros), odd = even_values<Patch, Pair>(d, zeros + 1);
    v[zeros + 2 * Pair] = odd + Points<Patch>::kPair[Pair] * even;
    v[zeros + 2 * Pair + 1] = odd - Points<Patch>::kPair[Pair] * even;
    transform_patch<Patch, Pair + 1>(d, v);
  } else {
    if constexpr (zeros) v[0] = even_values<Patch, -1>(d, 0);
    v[Patch - 1] = even_values<Patch, -1>(d, zeros);
  }
}

// A': the products to a tile's outputs.
template <int Patch, int Tile>
inline void transform_back(const Lanes (&m)[Patch], Lanes (&y)[Tile]) {
  constexpr int zeros = kZeros<Patch>;
  Lanes sums[2][kPairs<Patch>];  // for even powers of the points, and for odd ones
#pragma GCC unroll 8
  for (int pair = 0; pair < kPairs<Patch>; ++pair) {
    sums[0][pair] = m[zeros + 2 * pair] + m[zeros + 2 * pair + 1];
    sums[1][pair] = m[zeros + 2 * pair] - m[zeros + 2 * pair + 1];
  }
#pragma GCC unroll 8
  for (int i = 0; i < Tile; ++i) {
    y[i] = power(Points<Patch>::kPair[0], i) * sums[i % 2][0];
#pragma GCC unroll 8
    for (int pair = 1; pair < kPairs<Patch>; ++pair) y[i] += power(Points<Patch>::kPair[pair], i) * sums[i % 2][pair];
  }
  if constexpr (zeros) y[0] += m[0];
  y[Tile - 1] += m[Patch - 1];
}

// A: a tile of the output's gradient to the values of a patch.
template <int Tile, int Patch>
inline void transform_gradient(const Lanes (&g)[Tile], Lanes (&z)[Patch]) {
  constexpr int zeros = kZeros<Patch>;
  if constexpr (zeros) z[0] = g[0];
#pragma GCC unroll 8
  for (int pair = 0; pair < kPairs<Patch>; ++pair) {
    Lanes even = g[0], odd = Points<Patch>::kPair[pair] * g[1];
#pragma GCC unroll 8
    for (int i = 2; i < Tile; ++i) (i % 2 ? odd : even) += power(Points<Patch>::kPair[pair], i) * g[i];
    z[zeros + 2 * pair] = even + odd;
    z[zeros + 2 * pair + 1] = even - odd;
  }
  z[Patch - 1] = g[Tile - 1];
}

// Kernels are transformed in float64: their factors are not exact.
constexpr int kDoubles = std::max(kLanes / 2, 1);
typedef double Doubles __attribute__((vector_size(sizeof(double) * kDoubles)));

typedef float Floats __attribute__((vector_size(sizeof(float) * kDoubles)));

// The first `count` floats at p, `stride` apart; the others are 0.
inline Doubles load_doubles(const float* p, int64_t stride, int64_t count) {
  Floats v{};
  if (stride == 1 && count == kDoubles)
    std::memcpy(&v, p, sizeof v);
  else
    for (int64_t l = 0; l < count; ++l) v[l] = p[l * stride];
  return __builtin_convertvector(v, Doubles);
}

inline void store_doubles(float* p, const Doubles& v, int64_t count) {
  const Floats rounded = __builtin_convertvector(v, Floats);
  std::memcpy(p, &rounded, count * sizeof *p);
}

// G: the powers of a point over the product of its distances to the others.
template <int Patch, int Taps>
struct KernelTransform {
  double rows[Patch][Taps];

  // G along one axis: value i of `Patch`, from `Taps` values.
  Doubles value(const Doubles* taps, int64_t stride, int i) const {
    Doubles sum = rows[i][0] * taps[0];
    for (int t = 1; t < Taps; ++t) sum += rows[i][t] * taps[t * stride];
    return sum;
  }

  // Its transpose: from `Patch` values to `Taps`.
  void backwards(const Doubles* points, int64_t stride, Doubles* taps, int64_t tap_stride) const {
    for (int t = 0; t < Taps; ++t) {
      Doubles sum = rows[0][t] * points[0];
      for (int i = 1; i < Patch; ++i) sum += rows[i][t] * points[i * stride];
      taps[t * tap_stride] = sum;
    }
  }

  KernelTransform() {
    double points[Patch - 1] = {};
    for (int pair = 0; pair < kPairs<Patch>; ++pair) {
      points[kZeros<Patch> + 2 * pair] = Points<Patch>::kPair[pair];
      points[kZeros<Patch> + 2 * pair + 1] = -Points<Patch>::kPair[pair];
    }
    for (int i = 0; i < Patch - 1; ++i) {
      double scale = 1;
      for (int l = 0; l < Patch - 1; ++l)
        if (l != i) scale *= points[i] - points[l];
      double power = 1 / scale;
      for (int j = 0; j < Taps; ++j, power *= points[i]) rows[i][j] = power;
    }
    for (int j = 0; j < Taps; ++j) rows[Patch - 1][j] = j == Taps - 1;
  }
};

}  // namespace winograd
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_WINOGRAD_TRANSFORMS_H_
