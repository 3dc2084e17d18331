// Cost volumes on channels-last float32, with gradients:
//   volume[n, y, x, i * columns + j] = scale * sum_c first[n, y, x, c] * second[n, y + (i - r) * d, x + (j - q) * e, c]
// for a patch of [rows, columns] displacements, (d, e) pixels apart, with r = (rows - 1) / 2, q = (columns - 1) / 2, and
// zeros outside.
//
// A vector holds neighboring columns: rows are transposed to [channels, columns], so that a displacement to the side is
// another address, and a few rows of `first` meet one row of `second` in registers.
#ifndef ASCENDCV_OPS_CSRC_CORRELATION_H_
#define ASCENDCV_OPS_CSRC_CORRELATION_H_

#include "common.h"

namespace ascendcv {
namespace correlation {

constexpr int64_t kStripColumns = 4 * kLanes;  // of the output, for which rows are transposed together
constexpr int64_t kBandRows = 8;
constexpr int kRows = 3;                          // of `first` in registers, with
constexpr int kShifts = kLanes == 16 ? 9 : 3;     // horizontal displacements: as many sums as registers hold

struct Shape {
  int64_t batch, height, width, channels;
  int64_t patch_rows, patch_columns, row_dilation, column_dilation;
  float scale;

  // How far displacement i down, or j to the side, leads.
  int64_t down(int64_t i) const { return (i - (patch_rows - 1) / 2) * row_dilation; }
  int64_t aside(int64_t j) const { return (j - (patch_columns - 1) / 2) * column_dilation; }
  int64_t displacements() const { return patch_rows * patch_columns; }
  int64_t pixel(int64_t n, int64_t y, int64_t x) const { return (n * height + y) * width + x; }
};

#ifdef __AVX__
// 8 x 8: to[column, row] = from[row, column].
inline void transpose_block(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  __m256 v[8], pairs[8];
  for (int i = 0; i < 8; ++i) {  // rows i and i + 4 share a register, so that no later step crosses its halves
    const float* row = from + i % 4 * from_stride + i / 4 * 4;
    v[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(row)), _mm_loadu_ps(row + 4 * from_stride), 1);
  }
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    pairs[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4)
    for (int k = 0; k < 2; ++k) {
      _mm256_storeu_ps(to + (i + 2 * k) * to_stride, _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44));
      _mm256_storeu_ps(to + (i + 2 * k + 1) * to_stride, _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xee));
    }
}
constexpr int64_t kBlock = 8;
#else
inline void transpose_block(const float* from, int64_t, float* to, int64_t) { *to = *from; }
constexpr int64_t kBlock = 1;
#endif

// to[column, row] = from[row, column].
void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns, float* to, int64_t to_stride) {
  const int64_t block_rows = rows / kBlock * kBlock, block_columns = columns / kBlock * kBlock;
  for (int64_t r = 0; r < block_rows; r += kBlock)
    for (int64_t c = 0; c < block_columns; c += kBlock)
      transpose_block(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < block_rows ? block_columns : 0; c < columns; ++c)
      to[c * to_stride + r] = from[r * from_stride + c];
}

// Row y of an image as [channels, columns], columns `left` to `left + columns`, zeros outside the image.
void transpose_row(const Shape& s, const float* image, int64_t n, int64_t y, int64_t left, int64_t columns, float* to,
                   int64_t stride) {
  const int64_t from = std::max<int64_t>(left, 0), end = std::min(left + columns, s.width);
  if (y < 0 || y >= s.height || from >= end) {
    std::fill_n(to, s.channels * stride, 0.0f);
    return;
  }
  if (end - from < columns)
    for (int64_t c = 0; c < s.channels; ++c) {
      std::fill(to + c * stride, to + c * stride + from - left, 0.0f);
      std::fill(to + c * stride + end - left, to + c * stride + columns, 0.0f);
    }
  transpose(image + s.pixel(n, y, from) * s.channels, s.channels, end - from, s.channels, to + from - left, stride);
}

// sums[Rows, Shifts, kLanes]: kLanes columns of Rows rows of `first` with `Shifts` displacements of one row of `second`.
template <int Rows, int Shifts>
[[gnu::noinline]] void correlate(const float* first, int64_t row_size, int64_t first_stride, const float* second,
                                 int64_t second_stride, int64_t dilation, int64_t channels, float scale,
                                 float* sums) {
  Vector<kLanes> sum[Rows][Shifts] = {};
  for (int64_t c = 0; c < channels; ++c, first += first_stride, second += second_stride) {
    Vector<kLanes> row[Rows];
    for (int i = 0; i < Rows; ++i) row[i] = load<kLanes>(first + i * row_size);
    for (int j = 0; j < Shifts; ++j) {
      Vector<kLanes> shifted = load<kLanes>(second + j * dilation);
      keep_in_register<kLanes>(shifted);
      for (int i = 0; i < Rows; ++i) sum[i][j] += row[i] * shifted;
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int j = 0; j < Shifts; ++j) store<kLanes>(sums + (i * Shifts + j) * kLanes, scale * sum[i][j]);
}

using Correlate = decltype(&correlate<1, 1>);

template <int Rows, int Shifts = kShifts>
Correlate correlate_for(int shifts) {
  if constexpr (Shifts > 1)
    return shifts == Shifts ? correlate<Rows, Shifts> : correlate_for<Rows, Shifts - 1>(shifts);
  else
    return correlate<Rows, 1>;
}

Correlate correlate_for(int rows, int shifts) {
  return rows == 3 ? correlate_for<3>(shifts) : rows == 2 ? correlate_for<2>(shifts) : correlate_for<1>(shifts);
}

// A row of transposed values that does not fall on the same cache sets as the next one.
int64_t row_stride(int64_t columns) { return round_up(columns, 32) + 16; }

// One strip of columns of the rows `rows[0]`, `rows[0] + dilation`, ... (`count` of them).
class Strip {
 public:
  explicit Strip(const Shape& s)
      : s_(s), halo_((s.patch_columns - 1) * s.column_dilation), first_stride_(row_stride(kStripColumns)),
        second_stride_(row_stride(kStripColumns + halo_)), first_(kRows * s.channels * first_stride_),
        second_((kBandRows + s.patch_rows - 1) * s.channels * second_stride_), sums_(kRows * kShifts * kLanes),
        tile_(kRows * kLanes * s.displacements()) {}

  void compute(const float* first, const float* second, int64_t n, int64_t top, int64_t count, int64_t left,
               float* volume) {
    for (int64_t k = 0; k < count + s_.patch_rows - 1; ++k)
      transpose_row(s_, second, n, top + s_.down(k), left + s_.aside(0), kStripColumns + halo_,
                    second_ + k * s_.channels * second_stride_, second_stride_);
    for (int64_t row = 0; row < count; row += kRows) {
      const int64_t rows = std::min<int64_t>(kRows, count - row);
      for (int64_t i = 0; i < rows; ++i)
        transpose_row(s_, first, n, top + (row + i) * s_.row_dilation, left, kStripColumns,
                      first_ + i * s_.channels * first_stride_, first_stride_);
      for (int64_t column = 0; column < std::min(kStripColumns, s_.width - left); column += kLanes) {
        for (int64_t k = 0; k < rows + s_.patch_rows - 1; ++k) {
          // Row i of `first` meets row k of `second` at the vertical displacement k - i.
          const int64_t from = std::max<int64_t>(0, k - s_.patch_rows + 1), to = std::min(rows, k + 1);
          for (int64_t shift = 0; shift < s_.patch_columns; shift += kShifts)
            block(column, from, to, row + k, k, shift);
        }
        const int64_t x = left + column, pixels = std::min<int64_t>(kLanes, s_.width - x);
        for (int64_t i = 0; i < rows; ++i)
          std::copy_n(tile_ + i * kLanes * s_.displacements(), pixels * s_.displacements(),
                      volume + s_.pixel(n, top + (row + i) * s_.row_dilation, x) * s_.displacements());
      }
    }
  }

 private:
  // The displacements k - i down and `shift` to `shift` + kShifts aside, for the rows [from, to) of `first`.
  void block(int64_t column, int64_t from, int64_t to, int64_t second_row, int64_t k, int64_t shift) {
    const int shifts = std::min<int64_t>(kShifts, s_.patch_columns - shift);
    correlate_for(to - from, shifts)(
        first_ + from * s_.channels * first_stride_ + column, s_.channels * first_stride_, first_stride_,
        second_ + second_row * s_.channels * second_stride_ + column + shift * s_.column_dilation, second_stride_,
        s_.column_dilation, s_.channels, s_.scale, sums_);
    for (int64_t i = from; i < to; ++i)
      transpose(sums_ + (i - from) * shifts * kLanes, kLanes, shifts, kLanes,
                tile_ + i * kLanes * s_.displacements() + (k - i) * s_.patch_columns + shift, s_.displacements());
  }

  const Shape s_;
  const int64_t halo_, first_stride_, second_stride_;
  const Buffer first_;
  const LargeBuffer second_;
  const Buffer sums_;
  const Buffer tile_;  // of the volume: [rows, columns, displacements]
};

void forward(const Shape& s, const float* first, const float* second, float* volume, const Parallel& parallel) {
  // Rows that differ by multiples of the dilation meet the same rows: a band is kBandRows of them.
  const int64_t strips = divide_up(s.width, kStripColumns), span = kBandRows * s.row_dilation;
  const int64_t bands = divide_up(s.height, span) * s.row_dilation;
  const int64_t cost = kBandRows * kStripColumns * s.displacements() * s.channels / 16;
  parallel(s.batch * bands * strips, cost, [&](int64_t begin, int64_t end) {
    Strip strip(s);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / (bands * strips), band = i / strips % bands;
      const int64_t top = band / s.row_dilation * span + band % s.row_dilation;
      if (top >= s.height) continue;
      strip.compute(first, second, n, top, std::min(kBandRows, divide_up(s.height - top, s.row_dilation)),
                    i % strips * kStripColumns, volume);
    }
  });
}

// Adds up one pixel's gradient for channels [c, c + N * kVectors): sign +1 for `first`, -1 for `second`. A pixel of
// `second` gathers what the pixels of `first` around it did with it.
template <int N, int Vectors, int Sign>
void gather_gradient(const Shape& s, const float* grad, const float* other, int64_t n, int64_t y, int64_t x, int64_t c,
                     float* result) {
  Vector<N> sum[Vectors] = {};
  for (int64_t i = 0; i < s.patch_rows; ++i) {
    const int64_t row = y + Sign * s.down(i);
    if (row < 0 || row >= s.height) continue;
    for (int64_t j = 0; j < s.patch_columns; ++j) {
      const int64_t column = x + Sign * s.aside(j);
      if (column < 0 || column >= s.width) continue;
      const int64_t at = s.pixel(n, row, column);
      const float weight = grad[(Sign > 0 ? s.pixel(n, y, x) : at) * s.displacements() + i * s.patch_columns + j];
      for (int v = 0; v < Vectors; ++v) sum[v] += weight * load<N>(other + at * s.channels + c + v * N);
    }
  }
  for (int v = 0; v < Vectors; ++v)
    store<N>(result + s.pixel(n, y, x) * s.channels + c + v * N, s.scale * sum[v]);
}

template <int Sign>
void gradient(const Shape& s, const float* grad, const float* other, float* result, const Parallel& parallel) {
  constexpr int64_t kWide = 4 * kLanes;
  parallel(s.batch * s.height, s.width * s.displacements() * s.channels / 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t x = 0; x < s.width; ++x) {
        const int64_t n = row / s.height, y = row % s.height;
        int64_t c = 0;
        for (; c + kWide <= s.channels; c += kWide) gather_gradient<kLanes, 4, Sign>(s, grad, other, n, y, x, c, result);
        for (; c + kLanes <= s.channels; c += kLanes)
          gather_gradient<kLanes, 1, Sign>(s, grad, other, n, y, x, c, result);
        for (; c + 4 <= s.channels; c += 4) gather_gradient<4, 1, Sign>(s, grad, other, n, y, x, c, result);
        for (; c < s.channels; ++c) gather_gradient<1, 1, Sign>(s, grad, other, n, y, x, c, result);
      }
  });
}

}  // namespace correlation
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_CORRELATION_H_
