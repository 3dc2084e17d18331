// Self-attention inside windows of video features (Liu et al., Video Swin Transformer, CVPR 2022), channels-last float32:
//   y = x + projection(attention(queries, keys, values of norm(x)))
// and the gradient of the attention itself.
//
// One window is one piece of work, from its tokens to its results; the scores of one head in one window are all that is
// ever stored of them. Windows are found by address: features are neither padded, nor rolled, nor cut into windows.
// Tokens beside the features, in windows that exceed them, have a norm of 0, as if padded after it, and take part.
//
// Scores lie with the queries in the lanes of vectors, [keys, queries]: softmax then needs no sum across lanes.
#ifndef ASCENDCV_OPS_CSRC_WINDOW_ATTENTION_H_
#define ASCENDCV_OPS_CSRC_WINDOW_ATTENTION_H_

#include "dense.h"

namespace ascendcv {
namespace window_attention {

constexpr float kApart = -100;           // added to the scores of tokens that are no neighbors
constexpr int64_t kMostParts = 32;       // sums of the gradient that are kept apart
constexpr int64_t kPartWindows = 4;      // in each of them at least

struct Shape {
  int64_t batch, frames, height, width, channels, heads;
  int64_t window[3];  // frames, rows, columns
  bool shifted;       // by half a window, down and to the right

  int64_t tokens() const { return window[0] * window[1] * window[2]; }
  int64_t head_channels() const { return channels / heads; }
  int64_t down() const { return shifted ? window[1] / 2 : 0; }
  int64_t right() const { return shifted ? window[2] / 2 : 0; }
  int64_t rows() const { return divide_up(height, window[1]); }  // of windows
  int64_t columns() const { return divide_up(width, window[2]); }
  int64_t windows() const { return batch * (frames / window[0]) * rows() * columns(); }
  int64_t biases() const { return (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1); }

  // Floats from one row of tokens in lanes to the next: an odd number of cache lines, so that rows do not meet in the
  // same sets.
  int64_t lane_stride() const { return (divide_up(tokens(), 16) | 1) * 16; }
  int64_t lanes() const { return round_up(tokens(), kLanes); }
};

// The tokens of one window: where they are in the features, or -1 for none, and the region that each belongs to.
class Window {
 public:
  explicit Window(const Shape& shape) : places(shape.tokens()), regions(shape.lanes()), s(shape) {}

  void move_to(int64_t index) {
    const int64_t column = index % s.columns(), row = index / s.columns() % s.rows();
    const int64_t frame = index / (s.columns() * s.rows()) * s.window[0];  // counted through the batch
    // Over the edges comes in what the shift moves out at the opposite ones.
    masked = s.shifted && (row == s.rows() - 1 || column == s.columns() - 1);
    const auto around = [](int64_t place, int64_t size) { return place < size ? place : place - size; };
    const int64_t whole_height = s.rows() * s.window[1], whole_width = s.columns() * s.window[2];
    int64_t token = 0;
    for (int64_t z = 0; z < s.window[0]; ++z)
      for (int64_t i = 0; i < s.window[1]; ++i) {
        const int64_t y = around(row * s.window[1] + i + s.down(), whole_height);
        for (int64_t j = 0; j < s.window[2]; ++j, ++token) {
          const int64_t x = around(column * s.window[2] + j + s.right(), whole_width);
          places[token] = y < s.height && x < s.width ? ((frame + z) * s.height + y) * s.width + x : -1;
          regions[token] = region(row, s.rows(), i, s.window[1]) * 3 + region(column, s.columns(), j, s.window[2]);
        }
      }
  }

  std::vector<int64_t> places;
  std::vector<float> regions;
  bool masked = false;

 private:
  // Along one axis: 0 before the last window, 1 in it, 2 in its part that came in over the edge.
  static int64_t region(int64_t window, int64_t windows, int64_t place, int64_t size) {
    return window + 1 < windows ? 0 : place < size - size / 2 ? 1 : 2;
  }

  const Shape s;
};

// The biases of all pairs of tokens, [heads][keys][queries in lanes], of the table [biases, heads].
class PositionBias {
 public:
  PositionBias(const Shape& shape, const float* table, const Parallel& parallel)
      : s(shape), biases_(s.heads * s.tokens() * s.lane_stride()) {
    parallel(s.heads * s.tokens(), s.tokens() * 4, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t query = 0; query < s.lane_stride(); ++query)
          biases_[i * s.lane_stride() + query] =
              query < s.tokens() ? table[row(query, i % s.tokens()) * s.heads + i / s.tokens()] : 0;
    });
  }

  const float* of_head(int64_t head) const { return biases_ + head * s.tokens() * s.lane_stride(); }

  // In the table.
  int64_t row(int64_t query, int64_t key) const {
    const auto [d, h, w] = s.window;
    const int64_t z = query / (h * w) - key / (h * w), y = query / w % h - key / w % h, x = query % w - key % w;
    return ((z + d - 1) * (2 * h - 1) + y + h - 1) * (2 * w - 1) + x + w - 1;
  }

 private:
  const Shape s;
  const LargeBuffer biases_;
};

// Exchanges rows and columns.
inline void transpose(Vector<4> (&rows)[4]) {
#ifdef __AVX__
  _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
#else
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < i; ++j) {
      const float value = rows[i][j];
      rows[i][j] = rows[j][i], rows[j][i] = value;
    }
#endif
}

// to[channels][tokens in lanes] = factor * (from[tokens, channels] + bias[channels]); bias may be null.
inline void transpose(const Shape& s, const float* from, int64_t from_stride, int64_t channels, const float* bias,
                      float factor, float* to) {
  const int64_t stride = s.lane_stride(), tokens = s.tokens();
  const auto changed = [&](auto value, int64_t c) { return factor * (bias ? value + bias[c] : value); };
  const int64_t whole = channels / 4 * 4;
  int64_t t = 0;
  for (; t + 4 <= tokens; t += 4)
    for (int64_t c = 0; c < whole; c += 4) {
      Vector<4> block[4];
      for (int i = 0; i < 4; ++i) block[i] = load<4>(from + (t + i) * from_stride + c);
      transpose(block);
      for (int i = 0; i < 4; ++i) store<4>(to + (c + i) * stride + t, changed(block[i], c + i));
    }
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t rest = c < whole ? t : 0; rest < tokens; ++rest)
      to[c * stride + rest] = changed(from[rest * from_stride + c], c);
}

// Turns Vectors * kLanes queries' scores into exp(score + bias + mask - the largest); returns what they sum up to in
// `factors`, inverted.
template <int Vectors, bool Masked>
inline void exponentials(const Shape& s, const Window& window, const float* biases, int64_t first, float* scores,
                         float* factors) {
  const int64_t stride = s.lane_stride(), tokens = s.tokens();
  Lanes most[Vectors], total[Vectors] = {};
  for (Lanes& v : most) v = Lanes{} - INFINITY;
  for (int64_t key = 0; key < tokens; ++key)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      float* at = scores + key * stride + first + v * kLanes;
      Lanes score = load<kLanes>(at) + load<kLanes>(biases + key * stride + first + v * kLanes);
      if constexpr (Masked) {
        const Lanes region = load<kLanes>(window.regions.data() + first + v * kLanes);
        score += region == window.regions[key] ? Lanes{} : Lanes{} + kApart;
      }
      store<kLanes>(at, score);
      most[v] = score > most[v] ? score : most[v];
    }
  for (int64_t key = 0; key < tokens; ++key)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      float* at = scores + key * stride + first + v * kLanes;
      const Lanes value = exponential(load<kLanes>(at) - most[v]);
      store<kLanes>(at, value);
      total[v] += value;
    }
  for (int v = 0; v < Vectors; ++v) store<kLanes>(factors + first + v * kLanes, 1.0f / total[v]);
}

template <bool Masked>
[[gnu::noinline]] void softmax(const Shape& s, const Window& window, const float* biases, float* scores, float* factors) {
  int64_t first = 0;
  for (; first + 4 * kLanes <= s.lanes(); first += 4 * kLanes)
    exponentials<4, Masked>(s, window, biases, first, scores, factors);
  for (; first < s.lanes(); first += kLanes) exponentials<1, Masked>(s, window, biases, first, scores, factors);
}

// One head: result [head_channels][tokens in lanes] of queries [head_channels][tokens in lanes], which are scaled, and
// keys and values [tokens, head_channels]. What the values' bias [head_channels] adds to each value it adds to the result.
// Leaves the weights in `weights` [keys][queries in lanes], to be multiplied by
// `factors` [queries].
inline void attend(const Shape& s, const Window& window, const float* biases, const float* queries, const float* keys,
                   const float* values, const float* value_bias, int64_t stride, float* weights, float* factors,
                   float* result) {
  const int64_t lane_stride = s.lane_stride();
  product({keys, stride, 1}, queries, lane_stride, weights, lane_stride, s.tokens(), s.lanes(), s.head_channels());
  (window.masked ? softmax<true> : softmax<false>)(s, window, biases, weights, factors);
  product({values, 1, stride}, weights, lane_stride, result, lane_stride, s.head_channels(), s.lanes(), s.tokens());
  for (int64_t c = 0; c < s.head_channels(); ++c)
    for (int64_t query = 0; query < s.lanes(); query += kLanes) {
      float* at = result + c * lane_stride + query;
      const Lanes value = load<kLanes>(at) * load<kLanes>(factors + query);
      store<kLanes>(at, value_bias ? value + value_bias[c] : value);
    }
}

// What the layer has learned: [channels], [channels, 3 * channels], [3 * channels], [biases, heads],
// [channels, channels], [channels]. The 3 * channels are queries, keys and values, each head by head.
struct Layer {
  Norm norm;
  const float *qkv_kernel, *qkv_bias, *table, *projection_kernel, *projection_bias;
};

// x, y: [batch, frames, height, width, channels]; `scale` multiplies the scores.
inline void forward(const Shape& s, const Layer& layer, float scale, const float* x, float* y, const Parallel& parallel) {
  const int64_t channels = s.channels, tokens = s.tokens(), lanes = s.lane_stride(), head = s.head_channels();
  const Weights qkv_kernel(layer.qkv_kernel, channels, 3 * channels);
  const Weights projection(layer.projection_kernel, channels, channels);
  const PositionBias biases(s, layer.table, parallel);
  const int64_t cost = tokens * channels * (4 * channels + 2 * tokens) / kLanes;
  parallel(s.windows(), cost, [&](int64_t begin, int64_t end) {
    Window window(s);
    const LargeBuffer memory(tokens * (projection.stride + qkv_kernel.stride + lanes) + (channels + head) * lanes + lanes);
    float *features = memory, *qkv = features + tokens * projection.stride, *weights = qkv + tokens * qkv_kernel.stride;
    float *attended = weights + tokens * lanes, *queries = attended + channels * lanes, *factors = queries + head * lanes;
    std::fill_n(queries, head * lanes, 0.0f);
    for (int64_t i = begin; i < end; ++i) {
      window.move_to(i);
      for (int64_t t = 0; t < tokens; ++t)
        if (window.places[t] < 0)
          std::fill_n(features + t * projection.stride, channels, 0.0f);
        else
          layer.norm.apply(x + window.places[t] * channels, channels, features + t * projection.stride);
      product({features, projection.stride, 1}, qkv_kernel, qkv_kernel.stride, qkv, qkv_kernel.stride, tokens,
              qkv_kernel.stride, channels);
      for (int64_t h = 0; h < s.heads; ++h) {
        const float *of_head = qkv + h * head, *bias = layer.qkv_bias + h * head;
        transpose(s, of_head, qkv_kernel.stride, head, bias, scale, queries);
        // The keys' bias adds as much to all scores of a query, which changes no weight.
        attend(s, window, biases.of_head(h), queries, of_head + channels, of_head + 2 * channels, bias + 2 * channels,
               qkv_kernel.stride, weights, factors, attended + h * head * lanes);
      }
      product({attended, 1, lanes}, projection, projection.stride, features, projection.stride, tokens,
              projection.stride, channels);
      for (int64_t t = 0; t < tokens; ++t)
        if (const int64_t at = window.places[t] * channels; at >= 0)
          add_to(x + at, features + t * projection.stride, layer.projection_bias, channels, y + at);
    }
  });
}

// ---- Backward ----

// to[tokens, to_stride] = factor * from[tokens, head_channels], with zeros behind, so that products have whole vectors.
inline void widen(const Shape& s, const float* from, int64_t from_stride, float factor, float* to, int64_t to_stride) {
  for (int64_t t = 0; t < s.tokens(); ++t, from += from_stride, to += to_stride) {
    for (int64_t c = 0; c < s.head_channels(); ++c) to[c] = factor * from[c];
    std::fill(to + s.head_channels(), to + to_stride, 0.0f);
  }
}

// The attention's gradient, without norm, products and residual: of qkv [batch, frames, height, width, 3 * channels] and
// `beside` [3 * channels], which is qkv of the tokens beside the features. Gives the attention's result, too.
//
// Windows are cut into parts, each of which adds up for itself, so that the number of threads changes no bit.
inline void backward(const Shape& s, float scale, const float* qkv, const float* beside, const float* table,
                     const float* grad_y, float* y, float* grad_qkv, float* grad_beside, float* grad_table,
                     const Parallel& parallel) {
  const int64_t channels = s.channels, tokens = s.tokens(), lanes = s.lane_stride(), head = s.head_channels();
  const int64_t row = 3 * channels, wide = round_up(head, kLanes), pairs = tokens * lanes;
  const PositionBias biases(s, table, parallel);
  const int64_t parts = std::clamp<int64_t>(s.windows() / kPartWindows, 1, kMostParts);
  const int64_t sums = s.biases() * s.heads + row;
  std::vector<double> added(parts * sums);
  const int64_t cost = divide_up(s.windows(), parts) * tokens * tokens * channels * 8 / kLanes;
  parallel(parts, cost, [&](int64_t begin, int64_t end) {
    Window window(s);
    const LargeBuffer memory(s.heads * pairs + 2 * tokens * row + 2 * tokens * channels + 2 * pairs + 3 * head * lanes +
                             4 * tokens * wide + lanes);
    float *bias_sums = memory, *from = bias_sums + s.heads * pairs, *to = from + tokens * row;
    float *grads = to + tokens * row, *results = grads + tokens * channels;
    float *weights = results + tokens * channels, *scores = weights + pairs;
    float *queries = scores + pairs, *grad_lanes = queries + head * lanes, *result = grad_lanes + head * lanes;
    float *wide_query = result + head * lanes, *wide_key = wide_query + tokens * wide;
    float *wide_grad = wide_key + tokens * wide, *product_result = wide_grad + tokens * wide;
    float* factors = product_result + tokens * wide;
    std::fill_n(queries, 2 * head * lanes, 0.0f);
    for (int64_t part = begin; part < end; ++part) {
      std::fill_n(bias_sums, s.heads * pairs, 0.0f);
      double *table_sums = added.data() + part * sums, *beside_sums = table_sums + s.biases() * s.heads;
      for (int64_t i = part * s.windows() / parts; i < (part + 1) * s.windows() / parts; ++i) {
        window.move_to(i);
        for (int64_t t = 0; t < tokens; ++t) {
          const int64_t place = window.places[t];
          std::copy_n(place < 0 ? beside : qkv + place * row, row, from + t * row);
          if (place < 0)
            std::fill_n(grads + t * channels, channels, 0.0f);
          else
            std::copy_n(grad_y + place * channels, channels, grads + t * channels);
        }
        for (int64_t h = 0; h < s.heads; ++h) {
          const float *query = from + h * head, *key = query + channels, *value = key + channels;
          transpose(s, query, row, head, nullptr, scale, queries);
          transpose(s, grads + h * head, channels, head, nullptr, 1, grad_lanes);
          attend(s, window, biases.of_head(h), queries, key, value, nullptr, row, weights, factors, result);
          // Scores' gradients: weights * (grads . values - grads . result).
          product({value, row, 1}, grad_lanes, lanes, scores, lanes, tokens, s.lanes(), head);
          for (int64_t first = 0; first < s.lanes(); first += kLanes) {
            Lanes mean{};
            for (int64_t c = 0; c < head; ++c)
              mean += load<kLanes>(result + c * lanes + first) * load<kLanes>(grad_lanes + c * lanes + first);
            const Lanes factor = load<kLanes>(factors + first);
            for (int64_t k = 0; k < tokens; ++k) {
              float *weight = weights + k * lanes + first, *score = scores + k * lanes + first;
              float* bias = bias_sums + (h * tokens + k) * lanes + first;
              store<kLanes>(weight, load<kLanes>(weight) * factor);
              store<kLanes>(score, load<kLanes>(weight) * (load<kLanes>(score) - mean));
              store<kLanes>(bias, load<kLanes>(bias) + load<kLanes>(score));
            }
          }
          widen(s, query, row, scale, wide_query, wide);
          widen(s, key, row, scale, wide_key, wide);
          widen(s, grads + h * head, channels, 1, wide_grad, wide);
          const auto give = [&](Matrix a, const float* b, int64_t first) {
            product(a, b, wide, product_result, wide, tokens, wide, tokens);
            for (int64_t t = 0; t < tokens; ++t) std::copy_n(product_result + t * wide, head, to + t * row + first);
          };
          give({scores, 1, lanes}, wide_key, h * head);
          give({scores, lanes, 1}, wide_query, channels + h * head);
          give({weights, lanes, 1}, wide_grad, 2 * channels + h * head);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t c = 0; c < head; ++c) results[t * channels + h * head + c] = result[c * lanes + t];
        }
        for (int64_t t = 0; t < tokens; ++t) {
          const int64_t place = window.places[t];
          if (place < 0) {
            for (int64_t c = 0; c < row; ++c) beside_sums[c] += to[t * row + c];
          } else {
            std::copy_n(to + t * row, row, grad_qkv + place * row);
            std::copy_n(results + t * channels, channels, y + place * channels);
          }
        }
      }
      for (int64_t h = 0; h < s.heads; ++h)
        for (int64_t k = 0; k < tokens; ++k)
          for (int64_t q = 0; q < tokens; ++q)
            table_sums[biases.row(q, k) * s.heads + h] += bias_sums[(h * tokens + k) * lanes + q];
    }
  });
  for (int64_t i = 0; i < sums; ++i) {
    double sum = 0;
    for (int64_t part = 0; part < parts; ++part) sum += added[part * sums + i];
    (i < s.biases() * s.heads ? grad_table[i] : grad_beside[i - s.biases() * s.heads]) = sum;
  }
}

}  // namespace window_attention
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_WINDOW_ATTENTION_H_
