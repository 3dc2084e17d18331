// Stride-1 convolutions of 3 x 3 and 5 x 5 taps, padded with zeros to the input's size, by Winograd's minimal filtering
// (Lavin and Gray, 2016), on channels-last float32, with gradients:
//   y = act(conv(x, kernel) + bias + residual)  or  act(conv(x, kernel) + bias) + residual
//
// An output tile of 4 x 4 (3 x 3 taps) comes from a patch of 6 x 6 of the input, one of 3 x 3 (5 x 5 taps) from 7 x 7.
// Transformed, patch and kernel have 36 or 49 values, whose products, summed over the channels, transform back to the
// tile: 36 multiplications instead of 144, 49 instead of 225. Of 5 x 5 taps there are smaller tiles of 2 x 2, which are
// more exact, and larger ones of 4 x 4. The points of interpolation (`Points`) were searched for small rounding errors:
// with 6 they are half those of the usual 0, +-1, +-2, infinity. All constants of the transforms of data are exact.
//
// Work is cut into strips of consecutive tiles. A strip's patches are transformed to V [points][tiles][channels], as many
// matrix products with a block of outputs of the transformed kernel U [blocks][points][channels][width] give M
// [points][tiles][width], and what the layer does after the convolution happens where M is transformed back. No result
// depends on how tiles are grouped: each is computed by itself, in a fixed order.
#ifndef ASCENDCV_OPS_CSRC_WINOGRAD_H_
#define ASCENDCV_OPS_CSRC_WINOGRAD_H_

#include "matrix.h"
#include "winograd_transforms.h"

namespace ascendcv {
namespace winograd {

constexpr int64_t kBlock = 64;
constexpr int64_t kStripTiles = 24, kLongStripTiles = 60, kShortStripTiles = 12;
constexpr int64_t kLargeKernel = 1 << 18;  // channels * outputs from which a pass over U costs more than a longer strip
constexpr int64_t kFewTiles = 120, kMuchKernel = 1 << 16, kDepth = 64;  // see convolve_few_tiles
constexpr int64_t kGradientTiles = 48, kGradientPartTiles = 384, kGradientTasks = 32;
constexpr int64_t kTasks = 8;                     // as many as there are at least, where the image allows
constexpr int64_t kStreamed = int64_t{1} << 19;  // floats of output from which stores go past the caches

struct Shape {
  int64_t batch, height, width, channels, outputs;

  int64_t pixels() const { return batch * height * width; }
};

// Data as a convolution's input: with `gate` the gradient of what follows an activation, which is `slope` times `data`
// where gate <= 0.
struct Source {
  const float* data;
  const float* gate = nullptr;
  float slope = 1;
};

// What happens to the convolution's result: bias and residual may be null; slope is the activation's below 0 (1: none).
struct Finish {
  const float* bias = nullptr;
  const float* residual = nullptr;
  bool residual_first = false;  // before the activation
  float slope = 1;
};

// Past the caches, where the processor can: p is a multiple of the vector's size.
inline void stream(float* p, Lanes v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(p, v);
#elif defined(__AVX__)
  _mm256_stream_ps(p, v);
#else
  store<kLanes>(p, v);
#endif
}

// v where `by` > 0, else slope * v: for `by` = v the activation, NaN included.
inline Lanes gated(Lanes v, Lanes by, float slope) { return by > 0 ? v : slope * v; }

enum class Transform { kPatch, kGradient };

// ---- Tiles ----

// The tiles of an output; Tile x Tile pixels each, in rows, image after image.
template <int Tile, int Taps>
struct Grid {
  static constexpr int kPatch = Tile + Taps - 1, kPoints = kPatch * kPatch;
  static constexpr int64_t kReach = Taps / 2;

  explicit Grid(const Shape& shape)
      : s(shape), columns(divide_up(s.width, Tile)), rows(divide_up(s.height, Tile)), count(s.batch * rows * columns) {}

  const Shape s;
  const int64_t columns, rows, count;
};

// A square of pixels of an image, of which some may lie outside.
struct Square {
  int64_t image, top, left;

  bool inside(const Shape& s, int64_t size) const {
    return top >= 0 && left >= 0 && top + size <= s.height && left + size <= s.width;
  }
};

template <int Tile, int Taps>
inline Square tile_of(const Grid<Tile, Taps>& grid, int64_t index) {
  const int64_t row = index / grid.columns;
  return {row / grid.rows, row % grid.rows * Tile, index % grid.columns * Tile};
}

// to[Size, Size, count]: of the square's pixels, which have `all` channels, `count` from `first`; 0 outside the image.
template <int Size>
void copy_square(const Shape& s, const Square& square, const Source& source, int64_t all, int64_t first, int64_t count,
                 float* to) {
  for (int64_t i = 0; i < Size; ++i)
    for (int64_t j = 0; j < Size; ++j, to += count) {
      const int64_t y = square.top + i, x = square.left + j;
      if (y < 0 || y >= s.height || x < 0 || x >= s.width) {
        std::fill_n(to, count, 0.0f);
        continue;
      }
      const int64_t at = ((square.image * s.height + y) * s.width + x) * all + first;
      std::copy_n(source.data + at, count, to);
      if (source.gate)
        for (int64_t c = 0; c < count; ++c) to[c] = source.gate[at + c] > 0 ? to[c] : source.slope * to[c];
    }
}

// One vector of channels of a square: to[points] at `point_stride`; adds up the square's values in `sum`.
template <Transform kind, int Patch, int Size, bool Gated, bool Whole>
inline void transform_lanes(const Source& source, int64_t row_stride, int64_t pixel_stride, int64_t count, float* to,
                            int64_t point_stride, float* sum) {
  Lanes half[Patch][Size], total{};
  for (int j = 0; j < Size; ++j) {
    Lanes column[Size], result[Patch];
    for (int i = 0; i < Size; ++i) {
      const int64_t at = i * row_stride + j * pixel_stride;
      column[i] = load_lanes<Whole>(source.data + at, count);
      if constexpr (Gated) column[i] = gated(column[i], load_lanes<Whole>(source.gate + at, count), source.slope);
      if constexpr (kind == Transform::kGradient) total += column[i];
    }
    if constexpr (kind == Transform::kPatch)
      transform_patch(column, result);
    else
      transform_gradient(column, result);
    for (int i = 0; i < Patch; ++i) half[i][j] = result[i];
  }
  if constexpr (kind == Transform::kGradient)
    store_lanes<Whole>(sum, load_lanes<Whole>(sum, count) + total, count);
  for (int i = 0; i < Patch; ++i) {
    Lanes result[Patch];
    if constexpr (kind == Transform::kPatch)
      transform_patch(half[i], result);
    else
      transform_gradient(half[i], result);
    for (int j = 0; j < Patch; ++j) store<kLanes>(to + (i * Patch + j) * point_stride, result[j]);
  }
}

template <Transform kind, int Patch, int Size, bool Gated>
[[gnu::noinline]] void transform_square(const Source& source, int64_t row_stride, int64_t pixel_stride, int64_t channels,
                                        float* to, int64_t point_stride, float* sum) {
  int64_t c = 0;
  const auto from = [&] { return Source{source.data + c, Gated ? source.gate + c : nullptr, source.slope}; };
  for (; c + kLanes <= channels; c += kLanes)
    transform_lanes<kind, Patch, Size, Gated, true>(from(), row_stride, pixel_stride, kLanes, to + c, point_stride,
                                                    sum + c);
  if (c < channels)
    transform_lanes<kind, Patch, Size, Gated, false>(from(), row_stride, pixel_stride, channels - c, to + c, point_stride,
                                                     sum + c);
}

// Channels [first, first + count) of the tiles [begin, end), transformed: to[points][tiles][stride]. `all` is how many
// channels the source has; `sum` [count] gains the sums of the gradient's pixels.
template <Transform kind, int Tile, int Taps>
void transform_tiles(const Grid<Tile, Taps>& grid, int64_t begin, int64_t end, const Source& source, int64_t all,
                     int64_t first, int64_t count, float* to, int64_t stride, int64_t point_stride, float* square,
                     float* sum) {
  constexpr int kPatch = Grid<Tile, Taps>::kPatch, kSize = kind == Transform::kPatch ? kPatch : Tile;
  constexpr int64_t kBefore = kind == Transform::kPatch ? Grid<Tile, Taps>::kReach : 0;
  const Shape& s = grid.s;
  for (int64_t tile = begin; tile < end; ++tile, to += stride) {
    Square place = tile_of(grid, tile);
    place.top -= kBefore, place.left -= kBefore;
    if (!place.inside(s, kSize)) {
      copy_square<kSize>(s, place, source, all, first, count, square);
      transform_square<kind, kPatch, kSize, false>({square}, kSize * count, count, count, to, point_stride, sum);
      continue;
    }
    const int64_t at = ((place.image * s.height + place.top) * s.width + place.left) * all + first;
    const Source inner{source.data + at, source.gate ? source.gate + at : nullptr, source.slope};
    const auto transform = source.gate ? transform_square<kind, kPatch, kSize, true>
                                       : transform_square<kind, kPatch, kSize, false>;
    transform(inner, s.width * all, all, count, to, point_stride, sum);
  }
}

// What transform_tiles will read, to be fetched while the processor multiplies. The first columns of a patch are those
// that the tile before it has fetched.
template <Transform kind, int Tile, int Taps>
void prefetch(const Grid<Tile, Taps>& grid, int64_t begin, int64_t end, const Source& source, int64_t all, int64_t first,
              int64_t count, Prefetcher* next) {
  constexpr int64_t kBefore = kind == Transform::kPatch ? Grid<Tile, Taps>::kReach : 0;
  const Shape& s = grid.s;
  for (int64_t tile = begin; tile < end; ++tile) {
    const Square place = tile_of(grid, tile);
    const int64_t left = place.left + kBefore, width = std::min<int64_t>(Tile, s.width - left);
    const int64_t top = std::max<int64_t>(place.top - kBefore, 0);
    const int64_t bottom = std::min(place.top + Tile + kBefore, s.height);
    for (const float* data : {source.data, source.gate}) {
      if (!data) continue;
      const float* start = data + ((place.image * s.height + top) * s.width + left) * all + first;
      if (count == all)
        next->add(start, width * all, s.width * all, bottom - top);
      else
        for (int64_t y = top; y < bottom; ++y, start += s.width * all) next->add(start, count, all, width);
    }
  }
}

// How many lines to fetch in each pause of `points` products of `rows` rows, so that `floats` are there after them.
inline int lines_per_pause(int64_t floats, int64_t points, int64_t rows) {
  return divide_up(floats * register_rows(kRegisterVectors), points * std::max<int64_t>(rows, 1) * 16);
}

// Distance of the matrices: an odd number of cache lines, so that they do not meet in the same sets.
inline int64_t point_stride(int64_t size) { return (divide_up(size, 16) | 1) * 16; }

// ---- Convolution ----

// Channels in blocks of whole vectors, of which the last may exceed them.
struct Blocks {
  explicit Blocks(int64_t channels)
      : count(divide_up(channels, kBlock)), width(round_up(divide_up(channels, std::max<int64_t>(count, 1)), kLanes)) {}

  const int64_t count, width;
};

// Where the kernel has the weight of a tap, an input channel and an output: forwards [taps, taps, channels, outputs];
// backwards (the gradient of the input) with the taps reversed and the channels' roles exchanged.
struct KernelView {
  const float* data;
  bool backwards;

  const float* at(const Shape& s, int64_t tap, int64_t taps, int64_t channel, int64_t output) const {
    return backwards ? data + ((taps - 1 - tap) * s.outputs + output) * s.channels + channel
                     : data + (tap * s.channels + channel) * s.outputs + output;
  }
  int64_t output_stride(const Shape& s) const { return backwards ? s.channels : 1; }
  int64_t channel_stride(const Shape& s) const { return backwards ? 1 : s.outputs; }
};

// Input channels [channel, last) of the kernel to the outputs [output, output + count): u[points] at `u_stride`,
// [channels][width].
template <int Patch, int Taps>
void transform_kernel(const Shape& s, const KernelView& kernel, int64_t channel, int64_t last, int64_t output,
                      int64_t count, int64_t width, float* u, int64_t u_stride) {
  static const KernelTransform<Patch, Taps> g;
  constexpr int64_t kTaps = Taps * Taps;
  const int64_t stride = kernel.output_stride(s);
  for (int64_t c = channel; c < last; ++c)
    for (int64_t o = 0; o < width; o += kDoubles, u += kDoubles) {
      const int64_t whole = std::clamp<int64_t>(count - o, 0, kDoubles);
      Doubles taps[kTaps];
      for (int64_t t = 0; t < kTaps; ++t) {
        const float* weights = kernel.at(s, t, kTaps, c, output + o);
        taps[t] = load_doubles(weights, stride, whole);
        __builtin_prefetch(weights + 3 * kernel.channel_stride(s));  // too far apart for processors to foresee
      }
      for (int i = 0; i < Patch; ++i) {
        Doubles half[Taps];
        for (int t = 0; t < Taps; ++t) half[t] = g.value(taps + t, Taps, i);
        for (int j = 0; j < Patch; ++j) store_doubles(u + (i * Patch + j) * u_stride, g.value(half, 1, j), kDoubles);
      }
    }
}

// One vector of outputs of one tile: from m[points] at `point_stride` to `rows` x `columns` pixels of y, at `at` in y and
// the residual.
template <int Patch, int Tile, bool Inside, bool Whole>
inline void finish_lanes(const float* m, int64_t point_stride, const Finish& finish, int64_t output, int64_t at,
                         int64_t row_stride, int64_t pixel_stride, int64_t rows, int64_t columns, int64_t count,
                         bool streamed, float* y) {
  Lanes half[Tile][Patch], values[Tile][Tile];
  for (int j = 0; j < Patch; ++j) {
    Lanes column[Patch], result[Tile];
    for (int i = 0; i < Patch; ++i) column[i] = load<kLanes>(m + (i * Patch + j) * point_stride);
    transform_back(column, result);
    for (int i = 0; i < Tile; ++i) half[i][j] = result[i];
  }
  for (int i = 0; i < Tile; ++i) transform_back(half[i], values[i]);

  const Lanes bias = finish.bias ? load_lanes<Whole>(finish.bias + output, count) : Lanes{};
  for (auto& row : values)
    for (Lanes& value : row) value += bias;
  const auto each_pixel = [&](auto change) {
    for (int64_t i = 0; i < (Inside ? Tile : rows); ++i)
      for (int64_t j = 0; j < (Inside ? Tile : columns); ++j)
        change(values[i][j], at + i * row_stride + j * pixel_stride);
  };
  const auto add_residual = [&](Lanes& value, int64_t place) {
    value += load_lanes<Whole>(finish.residual + place, count);
  };
  if (finish.residual && finish.residual_first) each_pixel(add_residual);
  if (finish.slope != 1)
    for (auto& row : values)
      for (Lanes& value : row) value = gated(value, value, finish.slope);
  if (finish.residual && !finish.residual_first) each_pixel(add_residual);
  if (Whole && streamed)
    each_pixel([&](Lanes& value, int64_t place) { stream(y + place, value); });
  else
    each_pixel([&](Lanes& value, int64_t place) { store_lanes<Whole>(y + place, value, count); });
}

// Outputs [first, first + count) of one tile, from M.
template <int Patch, int Tile, bool Inside>
[[gnu::noinline]] void finish_tile(const float* m, int64_t point_stride, const Finish& finish, int64_t first, int64_t count,
                                   int64_t at, int64_t row_stride, int64_t pixel_stride, int64_t rows, int64_t columns,
                                   bool streamed, float* y) {
  int64_t k = 0;
  for (; k + kLanes <= count; k += kLanes)
    finish_lanes<Patch, Tile, Inside, true>(m + k, point_stride, finish, first + k, at + k, row_stride, pixel_stride, rows,
                                            columns, kLanes, streamed, y);
  if (k < count)
    finish_lanes<Patch, Tile, Inside, false>(m + k, point_stride, finish, first + k, at + k, row_stride, pixel_stride, rows,
                                             columns, count - k, false, y);
}

// Outputs [output, output + count) of the tiles [first, last), from their m[points][tiles][width].
template <int Tile, int Taps>
void finish_tiles(const Grid<Tile, Taps>& grid, int64_t first, int64_t last, const float* m, int64_t m_stride,
                  int64_t width, const Finish& finish, int64_t output, int64_t count, bool streamed, float* y) {
  constexpr int kPatch = Grid<Tile, Taps>::kPatch;
  const Shape& s = grid.s;
  for (int64_t tile = first; tile < last; ++tile, m += width) {
    const Square place = tile_of(grid, tile);
    const auto finish_one = place.inside(s, Tile) ? finish_tile<kPatch, Tile, true> : finish_tile<kPatch, Tile, false>;
    finish_one(m, m_stride, finish, output, count,
               ((place.image * s.height + place.top) * s.width + place.left) * s.outputs + output, s.width * s.outputs,
               s.outputs, std::min<int64_t>(Tile, s.height - place.top), std::min<int64_t>(Tile, s.width - place.left),
               streamed, y);
  }
}

// Where the kernel is large and tiles are few: V of all tiles is kept, and U never is. Each task transforms those parts
// of the kernel that it multiplies by, a few channels after the others, which stay in its cache.
template <int Tile, int Taps>
void convolve_few_tiles(const Shape& s, const Source& x, const KernelView& kernel, const Finish& finish, float* y,
                        const Parallel& parallel) {
  const Grid<Tile, Taps> grid(s);
  constexpr int kPatch = grid.kPatch, kPoints = grid.kPoints;
  const Blocks blocks(s.outputs);
  const int64_t stride = round_up(s.channels, kLanes), v_stride = point_stride(grid.count * stride);
  const LargeBuffer v(kPoints * v_stride);
  parallel(grid.count, kPoints * s.channels * 8, [&](int64_t begin, int64_t end) {
    const Buffer square(kPoints * s.channels);
    transform_tiles<Transform::kPatch>(grid, begin, end, x, s.channels, 0, s.channels, v + begin * stride, stride,
                                       v_stride, square, square);
  });

  const int64_t parts = divide_up(grid.count, kLongStripTiles), length = divide_up(grid.count, parts);
  const int64_t u_stride = point_stride(kDepth * blocks.width), m_stride = point_stride(length * blocks.width);
  const int64_t cost = kPoints * s.channels * blocks.width * (length + kLanes) / kLanes;
  parallel(blocks.count * parts, cost, [&](int64_t begin, int64_t end) {
    const LargeBuffer u(kPoints * (u_stride + m_stride));
    float* m = u + kPoints * u_stride;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t output = i / parts * blocks.width, count = std::min(blocks.width, s.outputs - output);
      const int64_t first = i % parts * length, last = std::min(first + length, grid.count);
      for (int64_t channel = 0; channel < s.channels; channel += kDepth) {
        const int64_t depth = std::min(kDepth, s.channels - channel);
        transform_kernel<kPatch, Taps>(s, kernel, channel, channel + depth, output, count, blocks.width, u, u_stride);
        for (int64_t p = 0; p < kPoints; ++p)
          multiply({v + p * v_stride + first * stride + channel, stride, 1}, u + p * u_stride, blocks.width,
                   m + p * m_stride, blocks.width, last - first, round_up(count, kLanes), depth,
                   channel ? Sums::kContinued : Sums::kNew);
      }
      finish_tiles(grid, first, last, m, m_stride, blocks.width, finish, output, count, false, y);
    }
  });
}

// x: [batch, height, width, channels]; y: the same with `outputs` channels.
template <int Tile, int Taps>
void convolve(const Shape& s, const Source& x, const KernelView& kernel, const Finish& finish, float* y,
              const Parallel& parallel) {
  const Grid<Tile, Taps> grid(s);
  constexpr int kPatch = grid.kPatch, kPoints = grid.kPoints;
  if (s.channels * s.outputs >= kMuchKernel && grid.count <= kFewTiles)
    return convolve_few_tiles<Tile, Taps>(s, x, kernel, finish, y, parallel);
  const Blocks blocks(s.outputs);
  const int64_t u_stride = point_stride(s.channels * blocks.width);
  const LargeBuffer u(blocks.count * kPoints * u_stride);
  parallel(blocks.count * s.channels, blocks.width * Taps * Taps * 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t output = i / s.channels * blocks.width, c = i % s.channels;
      transform_kernel<kPatch, Taps>(s, kernel, c, c + 1, output, std::min(blocks.width, s.outputs - output),
                                     blocks.width, u + i / s.channels * kPoints * u_stride + c * blocks.width, u_stride);
    }
  });

  int64_t length = s.channels * s.outputs < kLargeKernel ? kStripTiles : kLongStripTiles;
  if (grid.count < kTasks * length)
    length = std::max(kShortStripTiles, round_up(divide_up(grid.count, kTasks), kShortStripTiles / 2));
  const int64_t strips = divide_up(grid.count, length);
  // Where strips are few, several tasks share one, each with blocks of outputs of its own.
  const int64_t parts = std::min(blocks.count, divide_up(kTasks, std::max<int64_t>(strips, 1)));
  const int64_t stride = round_up(s.channels, kLanes);
  const int64_t v_stride = point_stride(length * stride), m_stride = point_stride(length * blocks.width);
  const bool streamed = s.pixels() * s.outputs >= kStreamed && s.outputs % kLanes == 0 &&
                        reinterpret_cast<uintptr_t>(y) % sizeof(Lanes) == 0;
  const int lines = lines_per_pause(Tile * kPatch * s.channels * length, kPoints, length * blocks.count);

  const int64_t cost = length * kPoints * s.channels * (blocks.count * blocks.width / parts + 8 * kLanes) / kLanes;
  parallel(strips * parts, cost, [&](int64_t begin, int64_t end) {
    const LargeBuffer v(kPoints * v_stride + kPoints * m_stride + kPoints * s.channels);
    float *m = v + kPoints * v_stride, *square = m + kPoints * m_stride;
    Prefetcher next;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / parts * length, last = std::min(first + length, grid.count), part = i % parts;
      transform_tiles<Transform::kPatch>(grid, first, last, x, s.channels, 0, s.channels, v, stride, v_stride, square,
                                         square);
      next.clear();
      if (i + 1 < end && part + 1 == parts)
        prefetch<Transform::kPatch>(grid, last, std::min(last + length, grid.count), x, s.channels, 0, s.channels, &next);
      for (int64_t b = part * blocks.count / parts; b < (part + 1) * blocks.count / parts; ++b) {
        const int64_t output = b * blocks.width, count = std::min(blocks.width, s.outputs - output);
        for (int64_t p = 0; p < kPoints; ++p)
          multiply({v + p * v_stride, stride, 1}, u + (b * kPoints + p) * u_stride, blocks.width, m + p * m_stride,
                   blocks.width, last - first, round_up(count, kLanes), s.channels, Sums::kNew,
                   [&] { next.fetch(lines); });
        finish_tiles(grid, first, last, m, m_stride, blocks.width, finish, output, count, streamed, y);
      }
    }
#ifdef __AVX__
    if (streamed) _mm_sfence();
#endif
  });
}

// ---- Gradient of the kernel ----

// grad_kernel: [taps, taps, channels, outputs]; grad_bias: [outputs].
//
// Channels and outputs are cut into blocks, tiles into parts. For each of these combinations the products V' Z of the
// transformed input and the transformed gradient are added up over the tiles; the parts are added up in order, so that
// the number of threads changes no bit.
template <int Tile, int Taps>
void differentiate_kernel(const Shape& s, const float* x, const Source& grad_y, float* grad_kernel, float* grad_bias,
                          const Parallel& parallel) {
  const Grid<Tile, Taps> grid(s);
  constexpr int kPatch = grid.kPatch, kPoints = grid.kPoints;
  const Blocks channels(s.channels), outputs(s.outputs);
  const int64_t blocks = channels.count * outputs.count, block_size = kPoints * channels.width * outputs.width;
  const int64_t parts = std::clamp<int64_t>(divide_up(kGradientTasks, std::max<int64_t>(blocks, 1)), 1,
                                            std::max<int64_t>(grid.count / kGradientPartTiles, 1));
  const LargeBuffer sums(parts * blocks * block_size);  // [parts, channel blocks, output blocks, points, width, width]
  std::vector<double> bias_sums(parts * s.outputs);
  const int64_t v_stride = point_stride(kGradientTiles * channels.width);
  const int64_t z_stride = point_stride(kGradientTiles * outputs.width);
  const int64_t read = Tile * (kPatch * channels.width + Tile * outputs.width) * kGradientTiles;
  const int lines = lines_per_pause(read, kPoints, channels.width);

  const int64_t cost = divide_up(grid.count, parts) * kPoints * channels.width * (outputs.width / kLanes + 8);
  parallel(parts * blocks, cost, [&](int64_t begin, int64_t end) {
    const LargeBuffer v(kPoints * (v_stride + z_stride + kBlock) + kBlock);
    float *z = v + kPoints * v_stride, *square = z + kPoints * z_stride, *sum = square + kPoints * kBlock;
    Prefetcher next;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i / blocks, block = i % blocks;
      const int64_t channel = block / outputs.count * channels.width, output = block % outputs.count * outputs.width;
      const int64_t channel_count = std::min(channels.width, s.channels - channel);
      const int64_t output_count = std::min(outputs.width, s.outputs - output);
      float* to = sums + i * block_size;
      std::fill_n(to, block_size, 0.0f);
      const int64_t last = (part + 1) * grid.count / parts;
      for (int64_t first = part * grid.count / parts; first < last; first += kGradientTiles) {
        const int64_t stop = std::min(first + kGradientTiles, last);
        const int64_t after = std::min(stop + kGradientTiles, last);
        std::fill_n(sum, kBlock, 0.0f);
        transform_tiles<Transform::kPatch>(grid, first, stop, {x}, s.channels, channel, channel_count, v,
                                           channels.width, v_stride, square, sum);
        transform_tiles<Transform::kGradient>(grid, first, stop, grad_y, s.outputs, output, output_count, z,
                                              outputs.width, z_stride, square, sum);
        next.clear();
        prefetch<Transform::kPatch>(grid, stop, after, {x}, s.channels, channel, channel_count, &next);
        prefetch<Transform::kGradient>(grid, stop, after, grad_y, s.outputs, output, output_count, &next);
        for (int64_t p = 0; p < kPoints; ++p)
          multiply({v + p * v_stride, 1, channels.width}, z + p * z_stride, outputs.width,
                   to + p * channels.width * outputs.width, outputs.width, channel_count, outputs.width, stop - first,
                   Sums::kAdded, [&] { next.fetch(lines); });
        if (channel == 0)
          for (int64_t k = 0; k < output_count; ++k) bias_sums[part * s.outputs + output + k] += sum[k];
      }
    }
  });

  for (int64_t k = 0; k < s.outputs; ++k) {
    double sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += bias_sums[part * s.outputs + k];
    grad_bias[k] = sum;
  }
  static const KernelTransform<kPatch, Taps> g;
  parallel(s.channels, s.outputs * kPoints * (parts + 10), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c)
      for (int64_t o = 0; o < s.outputs; o += kDoubles) {
        const int64_t block = c / channels.width * outputs.count + o / outputs.width;
        const int64_t count = std::min<int64_t>(kDoubles, s.outputs - o);
        const float* from = sums + block * block_size + c % channels.width * outputs.width + o % outputs.width;
        Doubles points[kPoints] = {}, half[Taps * kPatch], taps[Taps * Taps];
        for (int64_t part = 0; part < parts; ++part, from += blocks * block_size)
          for (int p = 0; p < kPoints; ++p)
            points[p] += load_doubles(from + p * channels.width * outputs.width, 1, kDoubles);
        for (int j = 0; j < kPatch; ++j) g.backwards(points + j, kPatch, half + j, kPatch);
        for (int t = 0; t < Taps; ++t) g.backwards(half + t * kPatch, 1, taps + t * Taps, 1);
        for (int t = 0; t < Taps * Taps; ++t)
          store_doubles(grad_kernel + (t * s.channels + c) * s.outputs + o, taps[t], count);
      }
  });
}

}  // namespace winograd
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_WINOGRAD_H_
