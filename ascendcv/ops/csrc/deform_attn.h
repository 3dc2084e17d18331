// Guided deformable attention of RVRT (Liang et al., NeurIPS 2022) on channels-last float32, with gradients.
//
// Every pixel of every frame attends, with each head, to T * taps places: the taps of a window around it in each of the
// clip's T frames, moved by offsets. Keys and values are sampled bilinearly, scored, weighted by a softmax and added up
// in one pass; no sample is ever stored.
//
// Keys and values lie beside each other in the channels of `kv`, and the deformable groups divide these 2C channels.
// The backward pass repeats the sampling. One task owns the heads of a few deformable groups in one clip: it alone adds
// to their gradients, in a fixed order.
#ifndef ASCENDCV_OPS_CSRC_DEFORM_ATTN_H_
#define ASCENDCV_OPS_CSRC_DEFORM_ATTN_H_

#include <limits>
#include <utility>

#include "dense.h"
#include "sampling.h"

namespace ascendcv {
namespace deform_attn {

constexpr int64_t kTilePixels = 16;  // of one row

struct Shape : Grid {
  int64_t clips, frames, channels, heads, deformable_groups;

  int64_t head_channels() const { return channels / heads; }
  int64_t group_channels() const { return 2 * channels / deformable_groups; }
  int64_t places() const { return frames * taps(); }
  int64_t entries() const { return places() * deformable_groups; }  // (slot, group, tap)
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_channels())); }

  int64_t tiles_across() const { return divide_up(width, kTilePixels); }
  int64_t tiles() const { return height * tiles_across(); }
  // Of frame `frame` among the frames of all clips.
  Tile tile(int64_t frame, int64_t index) const {
    const int64_t left = index % tiles_across() * kTilePixels;
    return {frame, index / tiles_across(), left, 1, std::min(kTilePixels, width - left)};
  }
  // Slot n of a frame samples the n-th frame after it, around the clip's end.
  int64_t slot_frame(int64_t frame, int64_t slot) const {
    return frame / frames * frames + (frame % frames + slot) % frames;
  }
};

// Heads whose keys lie in the deformable groups [groups[0], groups[1]) and their values in [groups[2], groups[3]).
struct Unit {
  int64_t begin, end, groups[4];
};

Unit all_heads(const Shape& s) { return {0, s.heads, {0, s.deformable_groups, 0, 0}}; }

// The finest units that share no deformable group.
std::vector<Unit> units(const Shape& s) {
  const int64_t group = s.group_channels(), head = s.head_channels(), values = s.channels / group;
  if (s.channels % group) return {all_heads(s)};  // one group has keys and values
  std::vector<Unit> result;
  for (int64_t h = 0, begin = 0; h < s.heads; ++h) {
    const int64_t first = begin * head, last = (h + 1) * head;
    if (last % group) continue;
    result.push_back({begin, h + 1, {first / group, last / group, values + first / group, values + last / group}});
    begin = h + 1;
  }
  return result;
}

// Channels of `kv` in one head (counted from the unit's first) and one deformable group. Those of one head and group
// are a run, and are cut into pieces whose count is a power of two.
struct Run {
  int64_t head, group;
};
struct Piece {
  int64_t head, group, run, channel;
  int count;
};
struct Channels {
  std::vector<Run> runs;
  std::vector<Piece> pieces;
};

// Of a unit's keys (first = 0) or values (first = C).
Channels channels_of(const Shape& s, const Unit& unit, int64_t first) {
  Channels result;
  for (int64_t c = first + unit.begin * s.head_channels(); c < first + unit.end * s.head_channels();) {
    const int64_t head = (c - first) / s.head_channels(), group = c / s.group_channels();
    const int64_t last = std::min(first + (head + 1) * s.head_channels(), (group + 1) * s.group_channels());
    result.runs.push_back({head - unit.begin, group});
    while (c < last) {
      const int count = with_lanes(last - c, [](auto) {});
      result.pieces.push_back({head - unit.begin, group, static_cast<int64_t>(result.runs.size()) - 1, c, count});
      c += count;
    }
  }
  return result;
}

// The plans of a unit's entries: for each slot, one for the groups of its keys and one for those of its values.
class Plans {
 public:
  Plans(const Shape& s, const Unit& unit, bool with_slopes) : taps_(s.taps()), unit_(unit) {
    for (int64_t slot = 0; slot < s.frames; ++slot)
      for (int part = 0; part < 4; part += 2) {
        const int64_t first = (slot * s.deformable_groups + unit.groups[part]) * taps_;
        const int64_t count = (unit.groups[part + 1] - unit.groups[part]) * taps_;
        plans_.push_back(std::make_unique<Plan>(s, s.entries(), first, count, kTilePixels, with_slopes));
      }
  }

  template <bool WithSlopes>
  void fill(const Tile& tile, const float* offset) {
    for (auto& plan : plans_) plan->template fill<WithSlopes>(tile, offset, nullptr);
  }

  // The plan of a slot and deformable group, and the pixel's first entry in it.
  std::pair<const Plan*, int64_t> find(int64_t pixel, int64_t slot, int64_t group) const {
    const int part = group < unit_.groups[1] ? 0 : 2;
    const Plan* plan = plans_[slot * 2 + part / 2].get();
    return {plan, pixel * plan->count + (group - unit_.groups[part]) * taps_};
  }

 private:
  const int64_t taps_;
  const Unit unit_;
  std::vector<std::unique_ptr<Plan>> plans_;
};

// Softmax over the places of weights[places, row], kLanes heads at a time; row is a multiple of kLanes.
void softmax(float* weights, int64_t places, int64_t row) {
  for (int64_t h = 0; h < row; h += kLanes) {
    Vector<kLanes> most = load<kLanes>(weights + h), total{};
    for (int64_t i = 1; i < places; ++i) {
      const Vector<kLanes> v = load<kLanes>(weights + i * row + h);
      most = v > most ? v : most;
    }
    for (int64_t i = 0; i < places; ++i) {
      const Vector<kLanes> v = exponential(load<kLanes>(weights + i * row + h) - most);
      store<kLanes>(weights + i * row + h, v);
      total += v;
    }
    const Vector<kLanes> factor = 1.0f / total;
    for (int64_t i = 0; i < places; ++i) store<kLanes>(weights + i * row + h, load<kLanes>(weights + i * row + h) * factor);
  }
}

// Where a pixel of a frame looks: the tile's plans, and the frames of `kv` that its slots sample.
struct Pixel {
  const Shape& s;
  const Plans& plans;
  int64_t frame, index;  // of the pixel in its tile

  // Calls function(place, offset of the upper left corner in kv, plan, entry) for all places of a deformable group.
  template <typename Function>
  inline void for_places(int64_t group, Function function) const {
    const int64_t step = 2 * s.channels, taps = s.taps();
    for (int64_t slot = 0; slot < s.frames; ++slot) {
      const auto [plan, first] = plans.find(index, slot, group);
      const int64_t image = s.slot_frame(frame, slot) * s.pixels() * step;
      for (int64_t t = 0; t < taps; ++t)
        function(slot * taps + t, image + plan->index[first + t] * step, *plan, first + t);
    }
  }
};

// scores[places, row] of a piece's head += query . sampled keys.
template <int N>
void score(const Pixel& pixel, const Piece& piece, const float* kv, const float* query, float* scores, int64_t row) {
  const int64_t right = pixel.s.right() * 2 * pixel.s.channels, below = pixel.s.below() * 2 * pixel.s.channels;
  const Vector<N> q = load<N>(query + piece.channel);
  pixel.for_places(piece.group, [=](int64_t place, int64_t corner, const Plan& plan, int64_t entry) {
    const Vector<N> key = sample<N>(kv + piece.channel + corner, right, below, plan.weight + 4 * entry);
    scores[place * row + piece.head] += sum<N>(q * key);
  });
}

// result[piece] = the sum of the sampled values times weights[places, row].
template <int N>
void collect(const Pixel& pixel, const Piece& piece, const float* kv, const float* weights, int64_t row, float* result) {
  const int64_t right = pixel.s.right() * 2 * pixel.s.channels, below = pixel.s.below() * 2 * pixel.s.channels;
  Vector<N> total{};
  pixel.for_places(piece.group, [&, right, below](int64_t place, int64_t corner, const Plan& plan, int64_t entry) {
    total += weights[place * row + piece.head] *
             sample<N>(kv + piece.channel + corner, right, below, plan.weight + 4 * entry);
  });
  store<N>(result + piece.channel - pixel.s.channels, total);
}

// q, y: [clips * frames, height, width, channels]; kv: the same with 2 * channels; offset: [..., entries, 2].
void forward(const Shape& s, const float* q, const float* kv, const float* offset, float* y, const Parallel& parallel) {
  const Unit unit = all_heads(s);
  const Channels keys = channels_of(s, unit, 0), values = channels_of(s, unit, s.channels);
  const int64_t row = round_up(s.heads, kLanes), cost = kTilePixels * s.places() * s.channels * 4;
  parallel(s.clips * s.frames * s.tiles(), cost, [&](int64_t begin, int64_t end) {
    Plans plans(s, unit, false);
    const Buffer weights(s.places() * row), query(s.channels);
    for (int64_t i = begin; i < end; ++i) {
      const Tile tile = s.tile(i / s.tiles(), i % s.tiles());
      plans.fill<false>(tile, offset);
      for (int64_t p = 0; p < tile.pixels(); ++p) {
        const int64_t at = s.at(tile, p) * s.channels;
        const Pixel pixel{s, plans, tile.image, p};
        for (int64_t c = 0; c < s.channels; ++c) query[c] = q[at + c] * s.scale();
        std::fill_n(static_cast<float*>(weights), s.places() * row, 0.0f);
        for (const Piece& piece : keys.pieces)
          with_lanes(piece.count, [&](auto n) { score<decltype(n)::value>(pixel, piece, kv, query, weights, row); });
        softmax(weights, s.places(), row);
        for (const Piece& piece : values.pieces)
          with_lanes(piece.count, [&](auto n) { collect<decltype(n)::value>(pixel, piece, kv, weights, row, y + at); });
      }
    }
  });
}

// ---- Backward ----

// products[places, runs, 4] += the four corners' products with `vector`.
template <int N>
void corner_products(const Pixel& pixel, const Piece& piece, const float* kv, const float* vector, int64_t runs,
                     float* products) {
  const int64_t right = pixel.s.right() * 2 * pixel.s.channels, below = pixel.s.below() * 2 * pixel.s.channels;
  const Vector<N> v = load<N>(vector);
  pixel.for_places(piece.group, [&, right, below](int64_t place, int64_t corner, const Plan&, int64_t) {
    const float* from = kv + piece.channel + corner;
    float* to = products + (place * runs + piece.run) * 4;
    to[0] += sum<N>(v * load<N>(from));
    to[1] += sum<N>(v * load<N>(from + right));
    to[2] += sum<N>(v * load<N>(from + below));
    to[3] += sum<N>(v * load<N>(from + below + right));
  });
}

// to[places, row] of the runs' heads = the bilinear samples of the corners' products.
void interpolate(const Pixel& pixel, const Channels& channels, const float* products, int64_t row, float* to) {
  const int64_t runs = channels.runs.size();
  std::fill_n(to, pixel.s.places() * row, 0.0f);
  for (int64_t r = 0; r < runs; ++r)
    pixel.for_places(channels.runs[r].group, [&](int64_t place, int64_t, const Plan& plan, int64_t entry) {
      const float *w = plan.weight + 4 * entry, *p = products + (place * runs + r) * 4;
      to[place * row + channels.runs[r].head] += w[0] * p[0] + w[1] * p[1] + w[2] * p[2] + w[3] * p[3];
    });
}

// Adds the runs' part of the gradient of a pixel's offsets, grad[frames, groups, taps, 2].
void differentiate(const Pixel& pixel, const Channels& channels, const float* products, const float* coefficients,
                   int64_t row, float* grad) {
  const Shape& s = pixel.s;
  const int64_t runs = channels.runs.size();
  for (int64_t r = 0; r < runs; ++r) {
    const Run run = channels.runs[r];
    pixel.for_places(run.group, [&](int64_t place, int64_t, const Plan& plan, int64_t entry) {
      const float *p = products + (place * runs + r) * 4, *wy = plan.axis + 8 * entry;
      const float *wx = wy + 2, *dy = wy + 4, *dx = wy + 6, coefficient = coefficients[place * row + run.head];
      const float upper = wx[0] * p[0] + wx[1] * p[1], lower = wx[0] * p[2] + wx[1] * p[3];
      const float upper_slope = dx[0] * p[0] + dx[1] * p[1], lower_slope = dx[0] * p[2] + dx[1] * p[3];
      const int64_t slot = place / s.taps(), tap = place % s.taps();
      float* to = grad + ((slot * s.deformable_groups + run.group) * s.taps() + tap) * 2;
      to[0] += coefficient * (dy[0] * upper + dy[1] * lower);
      to[1] += coefficient * (wy[0] * upper_slope + wy[1] * lower_slope);
    });
  }
}

// Adds coefficients[places, row] * vector to the gradient of the samples; returns the sum of the samples times the
// coefficients.
template <int N>
Vector<N> spread(const Pixel& pixel, const Piece& piece, const float* kv, const float* vector, const float* coefficients,
                 int64_t row, float* grad_kv) {
  const int64_t right = pixel.s.right() * 2 * pixel.s.channels, below = pixel.s.below() * 2 * pixel.s.channels;
  const int64_t corners[4] = {0, right, below, below + right};
  const Vector<N> v = load<N>(vector);
  Vector<N> total{};
  pixel.for_places(piece.group, [&](int64_t place, int64_t corner, const Plan& plan, int64_t entry) {
    const float coefficient = coefficients[place * row + piece.head];
    for (int i = 0; i < 4; ++i) {
      const float weight = coefficient * plan.weight[4 * entry + i];
      const int64_t at = piece.channel + corner + corners[i];
      total += weight * load<N>(kv + at);
      store<N>(grad_kv + at, load<N>(grad_kv + at) + weight * v);
    }
  });
  return total;
}

// scores = weights * (grads - sum over the places of weights * grads): the softmax's gradient, [places, row].
void softmax_gradient(const float* weights, const float* grads, int64_t places, int64_t row, float* scores) {
  for (int64_t h = 0; h < row; h += kLanes) {
    Vector<kLanes> total{};
    for (int64_t i = 0; i < places; ++i) total += load<kLanes>(weights + i * row + h) * load<kLanes>(grads + i * row + h);
    for (int64_t i = 0; i < places; ++i)
      store<kLanes>(scores + i * row + h,
                    load<kLanes>(weights + i * row + h) * (load<kLanes>(grads + i * row + h) - total));
  }
}

// Gradients, shaped as what they belong to.
void backward(const Shape& s, const float* q, const float* kv, const float* offset, const float* grad_y, float* grad_q,
              float* grad_kv, float* grad_offset, const Parallel& parallel) {
  const std::vector<Unit> parts = units(s);
  const int64_t clip_pixels = s.frames * s.pixels();
  parallel(s.clips * s.frames, s.pixels() * (s.channels + s.entries()) / 2, [&](int64_t begin, int64_t end) {
    std::fill(grad_kv + begin * s.pixels() * 2 * s.channels, grad_kv + end * s.pixels() * 2 * s.channels, 0.0f);
    std::fill(grad_offset + begin * s.pixels() * s.entries() * 2, grad_offset + end * s.pixels() * s.entries() * 2, 0.0f);
  });
  const int64_t cost = clip_pixels * s.places() * s.channels / parts.size() * 16;
  parallel(s.clips * parts.size(), cost, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t clip = i / parts.size();
      const Unit& unit = parts[i % parts.size()];
      const Channels keys = channels_of(s, unit, 0), values = channels_of(s, unit, s.channels);
      const int64_t row = round_up(unit.end - unit.begin, kLanes), key_runs = keys.runs.size();
      const int64_t value_runs = values.runs.size();
      Plans plans(s, unit, true);
      const Buffer query(s.channels), weights(s.places() * row), grads(s.places() * row), scores(s.places() * row);
      const Buffer key_products(s.places() * key_runs * 4), value_products(s.places() * value_runs * 4);
      for (int64_t t = 0; t < s.frames * s.tiles(); ++t) {
        const Tile tile = s.tile(clip * s.frames + t / s.tiles(), t % s.tiles());
        plans.fill<true>(tile, offset);
        for (int64_t p = 0; p < tile.pixels(); ++p) {
          const int64_t at = s.at(tile, p) * s.channels;
          const Pixel pixel{s, plans, tile.image, p};
          for (int64_t c = 0; c < s.channels; ++c) query[c] = q[at + c] * s.scale();
          std::fill_n(static_cast<float*>(key_products), s.places() * key_runs * 4, 0.0f);
          std::fill_n(static_cast<float*>(value_products), s.places() * value_runs * 4, 0.0f);
          for (const Piece& piece : keys.pieces)
            with_lanes(piece.count, [&](auto n) {
              corner_products<decltype(n)::value>(pixel, piece, kv, query + piece.channel, key_runs, key_products);
            });
          for (const Piece& piece : values.pieces)
            with_lanes(piece.count, [&](auto n) {
              corner_products<decltype(n)::value>(pixel, piece, kv, grad_y + at + piece.channel - s.channels, value_runs,
                                                  value_products);
            });
          interpolate(pixel, keys, key_products, row, weights);
          softmax(weights, s.places(), row);
          interpolate(pixel, values, value_products, row, grads);
          softmax_gradient(weights, grads, s.places(), row, scores);
          float* offsets = grad_offset + s.at(tile, p) * s.entries() * 2;
          differentiate(pixel, keys, key_products, scores, row, offsets);
          differentiate(pixel, values, value_products, weights, row, offsets);
          for (const Piece& piece : keys.pieces)
            with_lanes(piece.count, [&](auto n) {
              constexpr int N = decltype(n)::value;
              store<N>(grad_q + at + piece.channel,
                       s.scale() * spread<N>(pixel, piece, kv, query + piece.channel, scores, row, grad_kv));
            });
          for (const Piece& piece : values.pieces)
            with_lanes(piece.count, [&](auto n) {
              spread<decltype(n)::value>(pixel, piece, kv, grad_y + at + piece.channel - s.channels, weights, row, grad_kv);
            });
        }
      }
    }
  });
}

}  // namespace deform_attn
}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_DEFORM_ATTN_H_
