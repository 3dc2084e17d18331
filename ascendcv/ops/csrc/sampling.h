// Bilinear sampling at positions that a window of taps and its offsets give.
#ifndef ASCENDCV_OPS_CSRC_SAMPLING_H_
#define ASCENDCV_OPS_CSRC_SAMPLING_H_

#include "common.h"

namespace ascendcv {

// The two neighbors of a position along one axis, as the first one's index and the weight of each.
//
// The first is clamped so that both lie in the image; the weight of neighbor i is max(0, 1 - |position - i|), which is
// right there too, and 0 for a position at or outside -1 and `size` (NaN is outside). No step branches, so that the
// compiler makes vectors of it.
struct Neighbors {
  float first, weight[2], slope[2];
};

template <bool WithSlopes>
inline Neighbors neighbors(float position, float size) {
  const float last = size > 2.0f ? size - 2.0f : 0.0f;
  const float step = size > 1.0f ? 1.0f : 4.0f;  // an image of one pixel has its second neighbor out of reach
  float p = position < size ? position : size;
  p = p > -1.0f ? p : -1.0f;
  float first = std::floor(p);
  first = first > 0.0f ? first : 0.0f;
  first = first < last ? first : last;
  const float d0 = p - first, d1 = d0 - step;
  const float w0 = 1.0f - std::fabs(d0), w1 = 1.0f - std::fabs(d1);
  Neighbors n;
  n.first = first;
  n.weight[0] = w0 > 0.0f ? w0 : 0.0f;
  n.weight[1] = w1 > 0.0f ? w1 : 0.0f;
  if (WithSlopes) {
    // The derivative of the weights: at a pixel that of the cell after it, as the sources have it, and 0 outside.
    n.slope[0] = (d0 >= 0.0f) & (d0 < 1.0f) ? -1.0f : (d0 < 0.0f) & (d0 > -1.0f) ? 1.0f : 0.0f;
    n.slope[1] = (d1 >= 0.0f) & (d1 < 1.0f) ? -1.0f : (d1 < 0.0f) & (d1 >= -1.0f) ? 1.0f : 0.0f;
  }
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
  // From a neighbor to the next one, in pixels; an image of one column or row has no next one, and its weight is 0.
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
        const Neighbors ny = neighbors<WithSlopes>(base_y + tap_y[e] + moved[2 * e], height);
        const Neighbors nx = neighbors<WithSlopes>(base_x + tap_x[e] + moved[2 * e + 1], width);
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
  std::vector<int> index;  // of the upper left neighbor, in pixels
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

#endif  // ASCENDCV_OPS_CSRC_SAMPLING_H_
