// Modulated deformable convolution v2 (Zhu et al., 2019) on channels-last float32, with gradients.
//
// The channels are cut into slices that lie in one deformable group, and the input is laid out slice by slice, so that
// what one sample reads is dense. The output is cut into tiles of pixels. For a tile, a plan says where every tap of
// every deformable group samples (an index and four weights); then, one slice after another, the samples are gathered
// into a small matrix [pixels, taps * channels] that stays in cache and is multiplied by the kernel's rows of that slice.
//
// The backward pass repeats the sampling instead of keeping it. One task owns a slice of one image: it alone adds to the
// input's gradient there, in a fixed order, so no result depends on the number of threads.
#ifndef ASCENDCV_OPS_CSRC_DEFORM_CONV_H_
#define ASCENDCV_OPS_CSRC_DEFORM_CONV_H_

#include <limits>

#include "matrix.h"
#include "sampling.h"

namespace ascendcv {
namespace deform_conv {

constexpr int64_t kTileHeight = 8, kTileWidth = 16, kTilePixels = kTileHeight * kTileWidth;
constexpr int64_t kStripTiles = 4;
constexpr int64_t kHalo = 3;   // rows below a tile that its own samples have fetched
constexpr int kSliceChannels = 16;
constexpr int kLinesPerPause = 16;  // prefetched per block of rows of a product: enough for the whole next tile
constexpr int kBiasBlocks = 64;     // partial sums of the bias's gradient

struct Shape : Grid {
  int64_t batch, channels, out_channels, groups, deformable_groups;

  int64_t entries() const { return deformable_groups * taps(); }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_outputs() const { return out_channels / groups; }
  int64_t padded_outputs() const { return round_up(group_outputs(), kLanes); }

  int64_t tiles_across() const { return divide_up(out_width, kTileWidth); }
  int64_t tiles() const { return divide_up(out_height, kTileHeight) * tiles_across(); }
  // Tiles are visited in narrow strips from top to bottom, so that the rows around a tile stay in cache.
  Tile tile(int64_t index) const {
    const int64_t down = divide_up(out_height, kTileHeight), inside = index % tiles();
    const int64_t strip = inside / (kStripTiles * down) * kStripTiles, across = std::min(kStripTiles, tiles_across() - strip);
    const int64_t row = (inside - strip * down) / across, column = strip + (inside - strip * down) % across;
    return {index / tiles(), row * kTileHeight, column * kTileWidth, std::min(kTileHeight, out_height - row * kTileHeight),
            std::min(kTileWidth, out_width - column * kTileWidth)};
  }
};

// Channels that lie in one group and one deformable group; the count is a power of two. `part` numbers the slices of a
// deformable group.
struct Slice {
  int64_t group, deformable_group, part, channel;
  int count;
};

std::vector<Slice> slices(const Shape& s) {
  const int64_t per_deformable = s.channels / s.deformable_groups;
  std::vector<Slice> result;
  for (int64_t c = 0; c < s.channels;) {
    const int64_t group = c / s.group_channels(), deformable = c / per_deformable;
    const int64_t end = std::min((group + 1) * s.group_channels(), (deformable + 1) * per_deformable);
    const bool first = result.empty() || result.back().deformable_group != deformable;
    int count = kSliceChannels;
    while (count > end - c) count /= 2;
    result.push_back({group, deformable, first ? 0 : result.back().part + 1, c, count});
    c += count;
  }
  return result;
}

// Between [batch, pixels, channels] and planes [batch, slice, pixels, slice's channels]: a slice's plane begins at
// (image * channels + slice.channel) * pixels.
enum class Layout { kToPlanes, kFromPlanes };

template <Layout layout>
void convert(const Shape& s, const std::vector<Slice>& parts, const float* from, float* to, const Parallel& parallel) {
  constexpr int64_t kBlock = 64;
  parallel(s.batch * divide_up(s.pixels(), kBlock), kBlock * s.channels / 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / divide_up(s.pixels(), kBlock), first = i % divide_up(s.pixels(), kBlock) * kBlock;
      const int64_t last = std::min(first + kBlock, s.pixels());
      for (const Slice& slice : parts)
        with_lanes(slice.count, [&](auto count) {
          constexpr int N = decltype(count)::value;
          const int64_t plane = (image * s.channels + slice.channel) * s.pixels();
          const int64_t row = image * s.pixels() * s.channels + slice.channel;
          for (int64_t p = first; p < last; ++p) {
            if (layout == Layout::kToPlanes)
              store<N>(to + plane + p * N, load<N>(from + row + p * s.channels));
            else
              store<N>(to + row + p * s.channels, load<N>(from + plane + p * N));
          }
        });
    }
  });
}

// The kernel's row of tap k and channel c of a slice: [group's outputs].
template <typename Float>
Float* kernel_row(const Shape& s, const Slice& slice, Float* kernel, int64_t k, int64_t c) {
  const int64_t channel = slice.channel - slice.group * s.group_channels() + c;
  return kernel + (k * s.group_channels() + channel) * s.out_channels + slice.group * s.group_outputs();
}

#ifdef __AVX512F__
// The same for N = 8 where left and right are neighbors in memory: one register holds both.
inline Vector<8> sample_pair(const float* corner, int64_t below, const float* weight) {
  const __m512i left_right = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m512 weights = _mm512_castps128_ps512(_mm_loadu_ps(weight));
  const __m512 upper = _mm512_permutexvar_ps(left_right, weights);
  const __m512 lower = _mm512_permutexvar_ps(_mm512_add_epi32(left_right, _mm512_set1_epi32(2)), weights);
  const Vector<16> both = upper * load<16>(corner) + lower * load<16>(corner + below);
  return sum_halves<16>(both);
}
#endif

// The samples of a slice of N channels: columns[pixels, taps, N]. `entry` is the plan's first of the deformable group.
template <int N>
[[gnu::noinline]] void gather(const Shape& s, const Plan& plan, int64_t entry, int64_t pixels, const float* plane,
                              float* columns) {
  const int64_t right = s.right() * N, below = s.below() * N, taps = s.taps(), count = plan.count;
  const int* index = plan.index.data() + entry;
  const float* weight = plan.weight + 4 * entry;
  for (int64_t p = 0; p < pixels; ++p, index += count, weight += 4 * count)
    for (int64_t k = 0; k < taps; ++k, columns += N) {
      const float* corner = plane + static_cast<int64_t>(index[k]) * N;
#ifdef __AVX512F__
      if constexpr (N == 8) {
        if (right) {
          store<N>(columns, sample_pair(corner, below, weight + 4 * k));
          continue;
        }
      }
#endif
      store<N>(columns, sample<N>(corner, right, below, weight + 4 * k));
    }
}

// What the next tile reads: its offsets and masks, and the rows that no tile above it has touched.
void prefetch(const Shape& s, const Tile& t, const std::vector<Slice>& parts, const float* planes, const float* offset,
              const float* mask, Prefetcher* next) {
  const int64_t from = s.at(t, 0) * s.entries(), length = t.width * s.entries(), row = s.out_width * s.entries();
  next->clear();
  next->add(offset + 2 * from, 2 * length, 2 * row, t.height);
  if (mask) next->add(mask + from, length, row, t.height);
  const int64_t top = std::min((t.top + t.height) * s.stride[0] + kHalo, s.height);
  const int64_t left = std::min(t.left * s.stride[1], s.width);
  const int64_t rows = std::min(t.height * s.stride[0], s.height - top);
  const int64_t columns = std::min(t.width * s.stride[1], s.width - left);
  for (const Slice& slice : parts)
    next->add(planes + (t.image * s.channels + slice.channel) * s.pixels() + (top * s.width + left) * slice.count,
              columns * slice.count, s.width * slice.count, rows);
}

// y: [batch, out_height, out_width, out_channels]; mask may be null.
void forward(const Shape& s, const float* x, const float* offset, const float* mask, const float* kernel,
             const float* bias, float* y, const Parallel& parallel) {
  if (s.pixels() == 0) {  // all samples are outside
    for (int64_t p = 0; p < s.batch * s.out_pixels(); ++p) std::copy_n(bias, s.out_channels, y + p * s.out_channels);
    return;
  }
  const std::vector<Slice> parts = slices(s);
  const LargeBuffer planes(s.batch * s.pixels() * s.channels);
  convert<Layout::kToPlanes>(s, parts, x, planes, parallel);

  const int64_t outputs = s.padded_outputs();
  const Buffer packed(s.taps() * s.channels * outputs);  // [slice, taps, count, outputs], zeros in the padding
  std::fill_n(static_cast<float*>(packed), s.taps() * s.channels * outputs, 0.0f);
  for (const Slice& slice : parts)
    for (int64_t row = 0; row < s.taps() * slice.count; ++row)
      std::copy_n(kernel_row(s, slice, kernel, row / slice.count, row % slice.count), s.group_outputs(),
                  packed + (s.taps() * slice.channel + row) * outputs);

  const int64_t cost = kTilePixels * s.taps() * s.channels * (s.group_outputs() / 32 + 2);
  parallel(s.batch * s.tiles(), cost, [&](int64_t begin, int64_t end) {
    Plan plan(s, s.entries(), 0, s.entries(), kTilePixels, false);
    Prefetcher next;
    const Buffer columns(kTilePixels * s.taps() * kSliceChannels);
    const Buffer results(s.groups * kTilePixels * outputs);
    for (int64_t i = begin; i < end; ++i) {
      const Tile tile = s.tile(i);
      plan.fill<false>(tile, offset, mask);
      if (i + 1 < end) prefetch(s, s.tile(i + 1), parts, planes, offset, mask, &next);
      for (int64_t row = 0; row < s.groups * kTilePixels; ++row)
        std::copy_n(bias + row / kTilePixels * s.group_outputs(), s.group_outputs(), results + row * outputs);
      for (const Slice& slice : parts) {
        const int64_t depth = s.taps() * slice.count;
        with_lanes(slice.count, [&](auto count) {
          gather<decltype(count)::value>(s, plan, slice.deformable_group * s.taps(), tile.pixels(),
                                         planes + (tile.image * s.channels + slice.channel) * s.pixels(), columns);
        });
        multiply({columns, depth, 1}, packed + s.taps() * slice.channel * outputs, outputs,
                 results + slice.group * kTilePixels * outputs, outputs, tile.pixels(), outputs, depth,
                 Sums::kContinued, [&next] { next.fetch(kLinesPerPause); });
      }
      for (int64_t p = 0; p < tile.pixels(); ++p)
        for (int64_t g = 0; g < s.groups; ++g)
          std::copy_n(results + (g * kTilePixels + p) * outputs, s.group_outputs(),
                      y + s.at(tile, p) * s.out_channels + g * s.group_outputs());
    }
  });
}

// From `grad` [pixels, `row`], the gradient of the samples of a slice: writes the samples to columns[pixels, taps, N]
// and the gradient's products with the four corners to products[pixels, taps, 4], and adds to the plane's gradient.
template <int N>
[[gnu::noinline]] void scatter(const Shape& s, const Plan& plan, int64_t pixels, const float* plane, const float* grad,
                               int64_t row, float* columns, float* products, float* grad_plane) {
  const int64_t corner[4] = {0, s.right() * N, s.below() * N, (s.below() + s.right()) * N};
  const float* weight = plan.weight;
  const int* index = plan.index.data();
  for (int64_t p = 0; p < pixels; ++p, grad += row)
    for (int64_t k = 0; k < s.taps(); ++k, columns += N, products += 4, weight += 4, ++index) {
      const float* from = plane + static_cast<int64_t>(*index) * N;
      float* to = grad_plane + static_cast<int64_t>(*index) * N;
      const Vector<N> g = load<N>(grad + k * N);
      Vector<N> value{};
      for (int i = 0; i < 4; ++i) {
        const Vector<N> neighbor = load<N>(from + corner[i]);
        value += weight[i] * neighbor;
        products[i] = sum<N>(g * neighbor);
        store<N>(to + corner[i], load<N>(to + corner[i]) + weight[i] * g);
      }
      store<N>(columns, value);
    }
}

// From the corners' products to the gradients of offset and mask (which may be null) of a deformable group.
void differentiate(const Shape& s, const Tile& tile, const Plan& plan, int64_t first, const float* mask,
                   const float* products, float* grad_offset, float* grad_mask) {
  const float* a = plan.axis;
  for (int64_t p = 0; p < tile.pixels(); ++p) {
    const int64_t entry = s.at(tile, p) * s.entries() + first;
    for (int64_t e = entry; e < entry + s.taps(); ++e, products += 4, a += 8) {
      const float *wy = a, *wx = a + 2, *dy = a + 4, *dx = a + 6;
      const float upper = wx[0] * products[0] + wx[1] * products[1];
      const float lower = wx[0] * products[2] + wx[1] * products[3];
      const float upper_slope = dx[0] * products[0] + dx[1] * products[1];
      const float lower_slope = dx[0] * products[2] + dx[1] * products[3];
      const float factor = mask ? mask[e] : 1.0f;
      if (grad_mask) grad_mask[e] = wy[0] * upper + wy[1] * lower;
      grad_offset[2 * e] = factor * (dy[0] * upper + dy[1] * lower);
      grad_offset[2 * e + 1] = factor * (wy[0] * upper_slope + wy[1] * lower_slope);
    }
  }
}

// to[size] = the sum of `count` arrays, in order.
void add_up(const float* parts, int64_t count, int64_t size, float* to, const Parallel& parallel) {
  parallel(size, count, [&](int64_t begin, int64_t end) {
    std::copy(parts + begin, parts + end, to + begin);
    for (int64_t part = 1; part < count; ++part)
      for (int64_t i = begin; i < end; ++i) to[i] += parts[part * size + i];
  });
}

void bias_gradient(const Shape& s, const float* grad_y, float* grad_bias, const Parallel& parallel) {
  const int64_t pixels = s.batch * s.out_pixels(), block = divide_up(pixels, kBiasBlocks);
  const Buffer partial(kBiasBlocks * s.out_channels);
  parallel(kBiasBlocks, block * s.out_channels / 4, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      float* sums = partial + b * s.out_channels;
      std::fill_n(sums, s.out_channels, 0.0f);
      for (int64_t p = b * block; p < std::min((b + 1) * block, pixels); ++p)
        for (int64_t o = 0; o < s.out_channels; ++o) sums[o] += grad_y[p * s.out_channels + o];
    }
  });
  add_up(partial, kBiasBlocks, s.out_channels, grad_bias, parallel);
}

// Gradients, shaped as what they belong to; mask and grad_mask may be null together.
void backward(const Shape& s, const float* x, const float* offset, const float* mask, const float* kernel,
              const float* grad_y, float* grad_x, float* grad_offset, float* grad_mask, float* grad_kernel,
              float* grad_bias, const Parallel& parallel) {
  bias_gradient(s, grad_y, grad_bias, parallel);
  if (s.pixels() == 0) {
    std::fill_n(grad_offset, s.batch * s.out_pixels() * s.entries() * 2, 0.0f);
    if (mask) std::fill_n(grad_mask, s.batch * s.out_pixels() * s.entries(), 0.0f);
    std::fill_n(grad_kernel, s.taps() * s.group_channels() * s.out_channels, 0.0f);
    return;
  }
  const std::vector<Slice> parts = slices(s);
  const LargeBuffer planes(s.batch * s.pixels() * s.channels), grad_planes(s.batch * s.pixels() * s.channels);
  convert<Layout::kToPlanes>(s, parts, x, planes, parallel);

  // Several slices of a deformable group share its offsets: each writes its part of their gradient.
  int64_t offset_parts = 1;
  for (const Slice& slice : parts) offset_parts = std::max(offset_parts, slice.part + 1);
  const int64_t entries = s.batch * s.out_pixels() * s.entries();
  const bool split = offset_parts > 1;
  const Buffer offset_sums(split ? offset_parts * entries * 2 : 0), mask_sums(split && mask ? offset_parts * entries : 0);
  if (split) std::fill_n(static_cast<float*>(offset_sums), offset_parts * entries * 2, 0.0f);
  if (split && mask) std::fill_n(static_cast<float*>(mask_sums), offset_parts * entries, 0.0f);

  const int64_t outputs = s.padded_outputs(), kernel_size = s.taps() * s.channels * outputs;
  const Buffer kernel_sums(s.batch * kernel_size);  // [batch, slice, taps, count, outputs]

  const int64_t cost = s.out_pixels() * s.taps() * kSliceChannels * (outputs / 16 + 8);
  parallel(s.batch * parts.size(), cost, [&](int64_t begin, int64_t end) {
    const int64_t widest = round_up(s.taps() * kSliceChannels, kLanes);
    const Buffer transposed(s.group_outputs() * widest), grads(kTilePixels * outputs);
    const Buffer grad_columns(kTilePixels * widest), columns(kTilePixels * widest), products(kTilePixels * s.taps() * 4);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / parts.size();
      const Slice& slice = parts[i % parts.size()];
      const int64_t depth = s.taps() * slice.count, width = round_up(depth, kLanes);
      std::fill_n(static_cast<float*>(transposed), s.group_outputs() * width, 0.0f);
      for (int64_t row = 0; row < depth; ++row) {
        const float* from = kernel_row(s, slice, kernel, row / slice.count, row % slice.count);
        for (int64_t o = 0; o < s.group_outputs(); ++o) transposed[o * width + row] = from[o];
      }
      const int64_t plane = (image * s.channels + slice.channel) * s.pixels();
      std::fill_n(grad_planes + plane, slice.count * s.pixels(), 0.0f);
      float* kernel_sum = kernel_sums + image * kernel_size + s.taps() * slice.channel * outputs;
      std::fill_n(kernel_sum, depth * outputs, 0.0f);
      const int64_t first = slice.deformable_group * s.taps();
      Plan plan(s, s.entries(), first, s.taps(), kTilePixels, true);

      for (int64_t t = 0; t < s.tiles(); ++t) {
        const Tile tile = s.tile(image * s.tiles() + t);
        for (int64_t p = 0; p < tile.pixels(); ++p) {
          std::copy_n(grad_y + s.at(tile, p) * s.out_channels + slice.group * s.group_outputs(), s.group_outputs(),
                      grads + p * outputs);
          std::fill(grads + p * outputs + s.group_outputs(), grads + (p + 1) * outputs, 0.0f);
        }
        plan.fill<true>(tile, offset, mask);
        multiply({grads, outputs, 1}, transposed, width, grad_columns, width, tile.pixels(), width, s.group_outputs(),
                 Sums::kNew);
        with_lanes(slice.count, [&](auto count) {
          scatter<decltype(count)::value>(s, plan, tile.pixels(), planes + plane, grad_columns, width, columns,
                                          products, grad_planes + plane);
        });
        multiply({columns, 1, depth}, grads, outputs, kernel_sum, outputs, depth, outputs, tile.pixels(), Sums::kAdded);
        differentiate(s, tile, plan, first, mask, products,
                      split ? offset_sums + slice.part * entries * 2 : grad_offset,
                      split && mask ? mask_sums + slice.part * entries : grad_mask);
      }
    }
  });

  convert<Layout::kFromPlanes>(s, parts, grad_planes, grad_x, parallel);
  if (split) add_up(offset_sums, offset_parts, entries * 2, grad_offset, parallel);
  if (split && mask) add_up(mask_sums, offset_parts, entries, grad_mask, parallel);
  for (const Slice& slice : parts)
    for (int64_t row = 0; row < s.taps() * slice.count; ++row) {
      float* to = kernel_row(s, slice, grad_kernel, row / slice.count, row % slice.count);
      std::fill_n(to, s.group_outputs(), 0.0f);
      for (int64_t n = 0; n < s.batch; ++n) {
        const float* from = kernel_sums + n * kernel_size + (s.taps() * slice.channel + row) * outputs;
        for (int64_t o = 0; o < s.group_outputs(); ++o) to[o] += from[o];
      }
    }
}

}  // namespace deform_conv
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_DEFORM_CONV_H_
