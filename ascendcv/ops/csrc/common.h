// What the kernels share: vectors, a register-blocked matrix product and the plan of a bilinear sampling.
//
// Everything is float32 and channels-last. Vectors are the compiler's own (GCC and Clang): sixteen lanes become one
// AVX-512 register, two AVX2 registers or four NEON ones, so one source serves every processor.
#ifndef ASCENDCV_OPS_CSRC_COMMON_H_
#define ASCENDCV_OPS_CSRC_COMMON_H_

#ifdef __AVX__
#include <immintrin.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <vector>

namespace ascendcv {

using std::int64_t;

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisterVectors = 4;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisterVectors = 2;
#else
constexpr int kLanes = 4, kRegisterVectors = 2;
#endif
constexpr int kRegisterRows = 6;  // with kRegisterVectors: accumulators that fill the registers, and no more

template <int N>
struct VectorOf {
  typedef float Type __attribute__((vector_size(sizeof(float) * N)));
};
template <>
struct VectorOf<1> {
  typedef float Type;
};
template <int N>
using Vector = typename VectorOf<N>::Type;

template <int N>
inline Vector<N> load(const float* p) {
  Vector<N> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <int N>
inline void store(float* p, Vector<N> v) {
  std::memcpy(p, &v, sizeof v);
}

// Float I of the four at p, in all of N lanes. On x86 four of these share one load, and loads are what a bilinear
// sample waits for.
template <int N, int I>
inline Vector<N> splat(const float* p) {
#ifdef __AVX512F__
  if constexpr (N == 16) return _mm512_permute_ps(_mm512_broadcast_f32x4(_mm_loadu_ps(p)), I * 0x55);
#endif
#ifdef __AVX__
  if constexpr (N == 8) return _mm256_permute_ps(_mm256_broadcast_ps(reinterpret_cast<const __m128*>(p)), I * 0x55);
#endif
  return p[I] + Vector<N>{};
}

template <int N>
inline Vector<N / 2> sum_halves(Vector<N> v) {
#ifdef __AVX512F__
  if constexpr (N == 16) return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
#endif
#ifdef __AVX__
  if constexpr (N == 8) return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
#endif
  Vector<N / 2> halves[2];
  std::memcpy(halves, &v, sizeof v);
  return halves[0] + halves[1];
}

// The sum of the lanes, in a fixed order.
template <int N>
inline float sum(Vector<N> v) {
  if constexpr (N == 1)
    return v;
  else
    return sum<N / 2>(sum_halves<N>(v));
}

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
inline int64_t divide_up(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

// Uninitialised floats on a cache line's boundary.
class Buffer {
 public:
  explicit Buffer(int64_t size)
      : data_(static_cast<float*>(::operator new(std::max<int64_t>(size, 1) * sizeof(float), kAlignment))) {}
  ~Buffer() { ::operator delete(data_, kAlignment); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  operator float*() const { return data_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  float* data_;
};

// Runs work(begin, end) over disjoint ranges that cover [0, total), in parallel; cost is in cycles per item. Which
// ranges is up to the scheduler: results must not depend on it.
using Work = std::function<void(int64_t begin, int64_t end)>;
using Parallel = std::function<void(int64_t total, int64_t cost, const Work& work)>;

// Fetches rectangles of memory into cache, a few lines at a time, while the processor multiplies.
class Prefetcher {
 public:
  void clear() { blocks_.clear(), at_ = 0; }
  void add(const float* start, int64_t floats, int64_t stride, int64_t rows) {
    if (floats > 0 && rows > 0) blocks_.push_back({start, floats, stride, rows});
  }
  void fetch(int lines) {
    for (; lines > 0 && at_ < blocks_.size(); --lines) {
      Block& block = blocks_[at_];
      __builtin_prefetch(block.start + column_);
      column_ += 16;
      if (column_ < block.floats) continue;
      column_ = 0;
      block.start += block.stride;
      if (--block.rows == 0) ++at_;
    }
  }

 private:
  struct Block {
    const float* start;
    int64_t floats, stride, rows;
  };
  std::vector<Block> blocks_;
  size_t at_ = 0;
  int64_t column_ = 0;
};

// ---- Matrix product: C[m, n] (+)= A[m, depth] B[depth, n] ----
// A is read by two strides (so that it may be transposed); B and C have contiguous rows; n is a multiple of kLanes.

struct Matrix {
  const float* data;
  int64_t row_stride, column_stride;
};

template <int Rows, int Vectors>
[[gnu::noinline]] void multiply_block(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t depth,
                           bool accumulate) {
  Vector<kLanes> sums[Rows][Vectors];
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v)
      sums[i][v] = accumulate ? load<kLanes>(c + i * c_stride + v * kLanes) : Vector<kLanes>{};
  const float* column = a.data;
  for (int64_t k = 0; k < depth; ++k, column += a.column_stride, b += b_stride) {
    Vector<kLanes> row[Vectors];
    for (int v = 0; v < Vectors; ++v) row[v] = load<kLanes>(b + v * kLanes);
    for (int i = 0; i < Rows; ++i) {
      const Vector<kLanes> factor = column[i * a.row_stride] - Vector<kLanes>{};
      for (int v = 0; v < Vectors; ++v) sums[i][v] += factor * row[v];
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v) store<kLanes>(c + i * c_stride + v * kLanes, sums[i][v]);
}

// Between blocks of rows `pause()` is called: the place to prefetch what comes next.
template <int Rows, int Vectors, typename Pause>
inline void multiply_rows(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m,
                          int64_t depth, bool accumulate, Pause& pause) {
  for (; m >= Rows; m -= Rows) {
    multiply_block<Rows, Vectors>(a, b, b_stride, c, c_stride, depth, accumulate);
    pause();
    a.data += Rows * a.row_stride;
    c += Rows * c_stride;
  }
  if constexpr (Rows > 1) {
    if (m) multiply_rows<Rows - 1, Vectors>(a, b, b_stride, c, c_stride, m, depth, accumulate, pause);
  }
}

template <int Vectors, typename Pause>
inline void multiply_columns(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m,
                             int64_t n, int64_t depth, bool accumulate, Pause& pause) {
  constexpr int kColumns = Vectors * kLanes;
  for (; n >= kColumns; n -= kColumns, b += kColumns, c += kColumns)
    multiply_rows<kRegisterRows, Vectors>(a, b, b_stride, c, c_stride, m, depth, accumulate, pause);
  if constexpr (Vectors > 1) {
    if (n) multiply_columns<Vectors - 1>(a, b, b_stride, c, c_stride, m, n, depth, accumulate, pause);
  }
}

template <typename Pause>
inline void multiply(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m, int64_t n,
                     int64_t depth, bool accumulate, Pause pause) {
  multiply_columns<kRegisterVectors>(a, b, b_stride, c, c_stride, m, n, depth, accumulate, pause);
}

inline void multiply(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m, int64_t n,
                     int64_t depth, bool accumulate) {
  multiply(a, b, b_stride, c, c_stride, m, n, depth, accumulate, [] {});
}

// ---- Bilinear sampling ----

// The two neighbours of a position along one axis, as the first one's index and the weight of each.
//
// The first is clamped so that both lie in the image; the weight of neighbour i is max(0, 1 - |position - i|),
// which is right there too, and 0 for a position at or outside -1 and `size` (NaN is outside).
struct Neighbours {
  float first, weight[2], slope[2];
};

inline Neighbours neighbours(float position, float size) {
  const bool inside = (position > -1.0f) & (position < size);
  const float p = inside ? position : -2.0f;
  const float last = size > 2.0f ? size - 2.0f : 0.0f;
  float first = std::floor(p);
  first = first < 0.0f ? 0.0f : first;
  first = first > last ? last : first;
  const float d0 = p - first, d1 = d0 - 1.0f;
  const float w0 = 1.0f - std::fabs(d0), w1 = 1.0f - std::fabs(d1);
  const bool two = size > 1.0f;
  Neighbours n;
  n.first = first;
  n.weight[0] = w0 > 0.0f ? w0 : 0.0f;
  n.weight[1] = (w1 > 0.0f) & two ? w1 : 0.0f;
  // The derivative of the weights; at an integer position that of the cell to its right, as the sources have it.
  n.slope[0] = (d0 >= 0.0f) & (d0 < 1.0f) ? -1.0f : (d0 < 0.0f) & (d0 > -1.0f) ? 1.0f : 0.0f;
  n.slope[1] = !two ? 0.0f : (d1 >= 0.0f) & (d1 < 1.0f) ? -1.0f : (d1 < 0.0f) & (d1 >= -1.0f) ? 1.0f : 0.0f;
  return n;
}

// A rectangle of output pixels of one image.
struct Tile {
  int64_t image, top, left, height, width;
  int64_t pixels() const { return height * width; }
};

// What a window of taps slides over: an image, and the grid of output pixels.
struct Grid {
  int64_t height, width;          // of the image
  int64_t out_height, out_width;  // of the output
  int64_t kernel_height, kernel_width;
  int64_t stride[2], padding[2], dilation[2];  // y, x

  int64_t pixels() const { return height * width; }
  int64_t out_pixels() const { return out_height * out_width; }
  int64_t taps() const { return kernel_height * kernel_width; }
  // From a neighbour to the next one, in pixels; an image of one column or row has no next one, and its weight is 0.
  int64_t right() const { return width > 1 ? 1 : 0; }
  int64_t below() const { return height > 1 ? width : 0; }
  // The number of a tile's pixel among the output pixels of all images.
  int64_t at(const Tile& t, int64_t pixel) const {
    return (t.image * out_height + t.top + pixel / t.width) * out_width + t.left + pixel % t.width;
  }
};

// Where a tile samples: arrays over [pixels, count]. Entry e of a pixel belongs to tap e % taps.
class Plan {
 public:
  // For the entries [first, first + count) of the `entries` that an output pixel has.
  Plan(const Grid& grid, int64_t entries, int64_t first, int64_t count, int64_t pixels, bool with_slopes)
      : count(count), index(pixels * count), weight(pixels * count * 4), axis(with_slopes ? pixels * count * 8 : 0),
        grid_(grid), entries_(entries), first_(first), tap_(2 * count) {
    for (int64_t e = 0; e < count; ++e) {
      const int64_t tap = (first + e) % grid.taps();
      tap_[e] = tap / grid.kernel_width * grid.dilation[0];
      tap_[count + e] = tap % grid.kernel_width * grid.dilation[1];
    }
  }

  // offset: [all output pixels, entries, 2] and mask: [all output pixels, entries] or null.
  template <bool WithSlopes>
  [[gnu::noinline]] void fill(const Tile& tile, const float* offset, const float* mask) {
    const float height = grid_.height, width = grid_.width;
    const int row_length = grid_.width;
    const float *tap_y = tap_.data(), *tap_x = tap_y + count;
    int* at = index.data();
    float *w = weight, *a = axis;
    for (int64_t p = 0; p < tile.pixels(); ++p) {
      const int64_t entry = grid_.at(tile, p) * entries_ + first_;
      const float base_y = (tile.top + p / tile.width) * grid_.stride[0] - grid_.padding[0];
      const float base_x = (tile.left + p % tile.width) * grid_.stride[1] - grid_.padding[1];
      const float* moved = offset + entry * 2;
      const float* factors = mask ? mask + entry : nullptr;
#pragma GCC ivdep
      for (int64_t e = 0; e < count; ++e) {
        const Neighbours ny = neighbours(base_y + tap_y[e] + moved[2 * e], height);
        const Neighbours nx = neighbours(base_x + tap_x[e] + moved[2 * e + 1], width);
        const float factor = factors ? factors[e] : 1.0f;
        const float upper = factor * ny.weight[0], lower = factor * ny.weight[1];
        at[e] = static_cast<int>(ny.first) * row_length + static_cast<int>(nx.first);
        w[4 * e] = upper * nx.weight[0];
        w[4 * e + 1] = upper * nx.weight[1];
        w[4 * e + 2] = lower * nx.weight[0];
        w[4 * e + 3] = lower * nx.weight[1];
        if (WithSlopes) {
          a[8 * e] = ny.weight[0];
          a[8 * e + 1] = ny.weight[1];
          a[8 * e + 2] = nx.weight[0];
          a[8 * e + 3] = nx.weight[1];
          a[8 * e + 4] = ny.slope[0];
          a[8 * e + 5] = ny.slope[1];
          a[8 * e + 6] = nx.slope[0];
          a[8 * e + 7] = nx.slope[1];
        }
      }
      at += count;
      w += 4 * count;
      a += 8 * count;
    }
  }

  const int64_t count;
  std::vector<int> index;  // of the upper left neighbour, in pixels
  Buffer weight;           // [4]: upper left, upper right, lower left, lower right; times the mask
  Buffer axis;             // [8]: y weights [2], x weights [2], y slopes [2], x slopes [2]; without the mask

 private:
  const Grid grid_;
  const int64_t entries_, first_;
  std::vector<float> tap_;
};

// One sample of N channels.
template <int N>
inline Vector<N> sample(const float* corner, int64_t right, int64_t below, const float* weight) {
  return splat<N, 0>(weight) * load<N>(corner) + splat<N, 1>(weight) * load<N>(corner + right) +
         splat<N, 2>(weight) * load<N>(corner + below) + splat<N, 3>(weight) * load<N>(corner + below + right);
}

// Calls function(std::integral_constant<int, N>) for the largest N of 16, 8, 4, 2 and 1 up to `channels`; returns it.
template <typename Function>
inline int with_lanes(int64_t channels, Function function) {
  if (channels >= 16) return function(std::integral_constant<int, 16>()), 16;
  if (channels >= 8) return function(std::integral_constant<int, 8>()), 8;
  if (channels >= 4) return function(std::integral_constant<int, 4>()), 4;
  if (channels >= 2) return function(std::integral_constant<int, 2>()), 2;
  return function(std::integral_constant<int, 1>()), 1;
}

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_COMMON_H_
