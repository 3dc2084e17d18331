// A matrix product blocked for registers, and what to fetch while it runs.
#ifndef ASCENDCV_OPS_CSRC_MATRIX_H_
#define ASCENDCV_OPS_CSRC_MATRIX_H_

#include "common.h"

namespace ascendcv {

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

// What happens to C: kNew: it is the product; kContinued: its sums go on as if `depth` were longer; kAdded: the product is
// added to it, which is more exact where many are.
enum class Sums { kNew, kContinued, kAdded };

struct Matrix {
  const float* data;
  int64_t row_stride, column_stride;
};

template <int Rows, int Vectors, Sums kind>
[[gnu::noinline]] void multiply_block(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride,
                                      int64_t depth) {
  // Unrolled early, or the compiler keeps the sums in memory before and after the loop.
  Vector<kLanes> sums[Rows][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v)
      sums[i][v] = kind == Sums::kContinued ? load<kLanes>(c + i * c_stride + v * kLanes) : Vector<kLanes>{};
  const float* column = a.data;
#pragma GCC unroll 1
  for (int64_t k = 0; k < depth; ++k, column += a.column_stride, b += b_stride) {
    Vector<kLanes> row[Vectors];
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) row[v] = load<kLanes>(b + v * kLanes);
#pragma GCC unroll 16
    for (int i = 0; i < Rows; ++i) {
      const Vector<kLanes> factor = column[i * a.row_stride] - Vector<kLanes>{};
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) sums[i][v] += factor * row[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      float* at = c + i * c_stride + v * kLanes;
      store<kLanes>(at, kind == Sums::kAdded ? load<kLanes>(at) + sums[i][v] : sums[i][v]);
    }
}

// Between blocks of rows `pause()` is called: the place to prefetch what comes next.
template <int Rows, int Vectors, typename Pause>
inline void multiply_rows(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m,
                          int64_t depth, Sums kind, Pause& pause) {
  const auto block = kind == Sums::kNew         ? multiply_block<Rows, Vectors, Sums::kNew>
                     : kind == Sums::kContinued ? multiply_block<Rows, Vectors, Sums::kContinued>
                                                : multiply_block<Rows, Vectors, Sums::kAdded>;
  for (; m >= Rows; m -= Rows) {
    block(a, b, b_stride, c, c_stride, depth);
    pause();
    a.data += Rows * a.row_stride;
    c += Rows * c_stride;
  }
  if constexpr (Rows > 1) {
    if (m) multiply_rows<Rows - 1, Vectors>(a, b, b_stride, c, c_stride, m, depth, kind, pause);
  }
}

template <int Vectors, typename Pause>
inline void multiply_columns(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m,
                             int64_t n, int64_t depth, Sums kind, Pause& pause) {
  constexpr int kColumns = Vectors * kLanes;
  for (; n >= kColumns; n -= kColumns, b += kColumns, c += kColumns)
    multiply_rows<register_rows(Vectors), Vectors>(a, b, b_stride, c, c_stride, m, depth, kind, pause);
  if constexpr (Vectors > 1) {
    if (n) multiply_columns<Vectors - 1>(a, b, b_stride, c, c_stride, m, n, depth, kind, pause);
  }
}

template <typename Pause>
inline void multiply(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m, int64_t n,
                     int64_t depth, Sums kind, Pause pause) {
  multiply_columns<kRegisterVectors>(a, b, b_stride, c, c_stride, m, n, depth, kind, pause);
}

inline void multiply(Matrix a, const float* b, int64_t b_stride, float* c, int64_t c_stride, int64_t m, int64_t n,
                     int64_t depth, Sums kind) {
  multiply(a, b, b_stride, c, c_stride, m, n, depth, kind, [] {});
}

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_MATRIX_H_
