// Compares the kernels of csrc/winograd.h and few_outputs.h with the definition, outside TensorFlow: for sanitizers,
// other processors and, where FLOAT64 is defined, for float64.
//
// A line for each case: taps, tile, batch, height, width, channels, outputs, then errors in units of the largest value: of the
// output, the gradients of input, kernel and bias, and few outputs; at last of the three gradients along a random
// direction, from central differences of the output.
#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <random>
#include <vector>

#ifdef FLOAT64  // the same source, with another type
#define float double
#endif
#include "few_outputs.h"
#include "winograd.h"

using namespace ascendcv;
using winograd::Finish;
using winograd::Shape;
using Values = std::vector<float>;

namespace {

Values random_values(int64_t size, int seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Values values(size);
  for (auto& value : values) value = normal(generator);
  return values;
}

// Adds kernel weight by weight: use(y's index, x's index, kernel's index).
template <typename Use>
void each_product(const Shape& s, int64_t taps, Use use) {
  for (int64_t n = 0; n < s.batch; ++n)
    for (int64_t y = 0; y < s.height; ++y)
      for (int64_t x = 0; x < s.width; ++x)
        for (int64_t i = 0; i < taps; ++i)
          for (int64_t j = 0; j < taps; ++j) {
            const int64_t row = y + i - taps / 2, column = x + j - taps / 2;
            if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
            for (int64_t c = 0; c < s.channels; ++c)
              for (int64_t k = 0; k < s.outputs; ++k)
                use(((n * s.height + y) * s.width + x) * s.outputs + k,
                    ((n * s.height + row) * s.width + column) * s.channels + c,
                    ((i * taps + j) * s.channels + c) * s.outputs + k);
          }
}

double error(const Values& found, const std::vector<double>& expected) {
  double worst = 0, largest = 1e-30;
  for (size_t i = 0; i < found.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(found[i]) - expected[i]));
    largest = std::max(largest, std::abs(expected[i]));
    if (std::isnan(found[i])) return NAN;
  }
  return worst / largest;
}

template <int Tile, int Taps>
void check(const Shape& s) {
  const Parallel serial = [](int64_t total, int64_t, const Work& work) {
    for (int64_t i = 0; i < total; i += 3) work(i, std::min(i + 3, total));
  };
  const int64_t in = s.pixels() * s.channels, out = s.pixels() * s.outputs;
  const int64_t weights = Taps * Taps * s.channels * s.outputs;
  const Values x = random_values(in, 1), kernel = random_values(weights, 2), bias = random_values(s.outputs, 3);
  const Values residual = random_values(out, 4), grad_y = random_values(out, 5);
  const double slope = 0.25;

  std::vector<double> sums(out), expected(out), few(out);
  each_product(s, Taps, [&](int64_t y, int64_t from, int64_t k) { sums[y] += static_cast<double>(x[from]) * kernel[k]; });
  for (int64_t i = 0; i < out; ++i) {
    const double value = sums[i] + bias[i % s.outputs];
    expected[i] = value + residual[i] > 0 ? value + residual[i] : slope * (value + residual[i]);
    few[i] = (value > 0 ? value : slope * value) + residual[i];
  }
  const auto forward = [&](bool residual_first) {
    Values y(out);
    const Finish finish{bias.data(), residual.data(), residual_first, 0.25};
    winograd::convolve<Tile, Taps>(s, {x.data()}, {kernel.data(), false}, finish, y.data(), serial);
    return y;
  };
  const Values y = forward(true);
  {  // the way of large kernels and few tiles gives the same bits
    Values same(out);
    const Finish finish{bias.data(), residual.data(), true, 0.25};
    winograd::convolve_few_tiles<Tile, Taps>(s, {x.data()}, {kernel.data(), false}, finish, same.data(), serial);
    if (same != y) std::exit(1);
  }
  double few_error = error(forward(false), few);
  if (few_outputs::serves(s)) {
    Values direct(out);
    few_outputs::convolve<Taps>(s, x.data(), kernel.data(), {bias.data(), residual.data(), false, 0.25}, direct.data(),
                                serial);
    few_error = std::max(few_error, error(direct, few));
  }

  std::vector<double> g(out), grad_x(in), grad_kernel(weights), grad_bias(s.outputs);
  for (int64_t i = 0; i < out; ++i) {
    g[i] = y[i] > 0 ? grad_y[i] : slope * grad_y[i];
    grad_bias[i % s.outputs] += g[i];
  }
  each_product(s, Taps, [&](int64_t out, int64_t from, int64_t k) {
    grad_x[from] += g[out] * kernel[k];
    grad_kernel[k] += g[out] * x[from];
  });
  const winograd::Source gated{grad_y.data(), y.data(), 0.25};
  Values found_x(in), found_kernel(weights), found_bias(s.outputs);
  const Shape back{s.batch, s.height, s.width, s.outputs, s.channels};
  winograd::convolve<Tile, Taps>(back, gated, {kernel.data(), true}, {}, found_x.data(), serial);
  winograd::differentiate_kernel<Tile, Taps>(s, x.data(), gated, found_kernel.data(), found_bias.data(), serial);

  // The derivative of sum(grad_y * y) when `values` move along `direction`, less that which `gradient` tells.
  const auto difference = [&](Values moved[3], Values& values, const Values& gradient, int seed) {
    const Values direction = random_values(values.size(), seed), start = values;
    const double step = 1e-6;
    double along = 0, size = 0, sums[2] = {};
    for (size_t i = 0; i < values.size(); ++i) {
      along += static_cast<double>(gradient[i]) * direction[i];
      size += std::abs(static_cast<double>(gradient[i]) * direction[i]);
    }
    for (int side = 0; side < 2; ++side) {
      for (size_t i = 0; i < values.size(); ++i) values[i] = start[i] + (side ? -step : step) * direction[i];
      Values result(out);
      const Finish finish{moved[2].data(), residual.data(), true, 0.25};
      winograd::convolve<Tile, Taps>(s, {moved[0].data()}, {moved[1].data(), false}, finish, result.data(), serial);
      for (int64_t i = 0; i < out; ++i) sums[side] += static_cast<double>(result[i]) * grad_y[i];
    }
    values = start;
    return std::abs((sums[0] - sums[1]) / (2 * step) - along) / size;
  };
  double by_differences = 0;
  if (sizeof(float) == sizeof(double)) {
    Values moved[3] = {x, kernel, bias};
    by_differences = std::max({difference(moved, moved[0], found_x, 6), difference(moved, moved[1], found_kernel, 7),
                               difference(moved, moved[2], found_bias, 8)});
  }
  std::printf("%d %d %ld %ld %ld %ld %ld %g %g %g %g %g %g\n", Taps, Tile, long(s.batch), long(s.height),
              long(s.width), long(s.channels), long(s.outputs), error(y, expected), error(found_x, grad_x),
              error(found_kernel, grad_kernel), error(found_bias, grad_bias), few_error, by_differences);
}

}  // namespace

int main() {
  const int64_t sizes[][2] = {{1, 1}, {5, 4}, {9, 18}};
  const int64_t channels[][2] = {{1, 1}, {3, 20}, {16, 3}, {17, 33}, {24, 4}, {20, 65}, {130, 12}};
  for (const auto& size : sizes)
    for (const auto& channel : channels) {
      const Shape s{2, size[0], size[1], channel[0], channel[1]};
      check<4, 3>(s);
      check<2, 5>(s);
      check<3, 5>(s);
      check<4, 5>(s);
    }
}
