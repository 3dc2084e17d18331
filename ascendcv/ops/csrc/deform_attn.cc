// Guided deformable attention of RVRT (Liang et al., NeurIPS 2022) on channels-last float32, with gradients.
//
// Every pixel of every frame attends, with each head, to T * taps places: the taps of a window around it in each of the
// clip's T frames, moved by offsets. Keys and values are sampled bilinearly, scored, weighted by a softmax and added up
// in one pass; no sample is ever stored.
//
// Keys and values lie beside each other in the channels of `kv`, and the deformable groups divide these 2C channels.
// The backward pass repeats the sampling. One task owns the heads of a few deformable groups in one clip: it alone adds
// to their gradients, in a fixed order.
#include "sampling.h"
#include "tensorflow_op.h"

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

// Channels of `kv` that lie in one head and one deformable group; the count is a power of two.
struct Piece {
  int64_t head, group, channel;
  int count;
};

// The pieces of the keys (first = 0) or values (first = C) of the heads [begin, end).
std::vector<Piece> pieces(const Shape& s, int64_t first, int64_t begin, int64_t end) {
  std::vector<Piece> result;
  for (int64_t c = first + begin * s.head_channels(); c < first + end * s.head_channels();) {
    const int64_t head = (c - first) / s.head_channels(), group = c / s.group_channels();
    const int64_t last = std::min(first + (head + 1) * s.head_channels(), (group + 1) * s.group_channels());
    const int count = with_lanes(last - c, [](auto) {});
    result.push_back({head, group, c, count});
    c += count;
  }
  return result;
}

// exp(x) for x <= 0 to within two units in the last place (Cody and Waite's reduction, Cephes' polynomial).
inline Vector<kLanes> exponential(Vector<kLanes> x) {
  typedef int32_t Integers __attribute__((vector_size(sizeof(int32_t) * kLanes)));
  const Vector<kLanes> lowest = Vector<kLanes>{} - 87.0f;
  x = x < lowest ? lowest : x;
  const Integers n = __builtin_convertvector(x * 1.44269504f - 0.5f, Integers);  // to nearest, as x <= 0
  const Vector<kLanes> k = __builtin_convertvector(n, Vector<kLanes>);
  const Vector<kLanes> r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  Vector<kLanes> p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const Integers power = (n + 127) << 23;
  Vector<kLanes> factor;
  std::memcpy(&factor, &power, sizeof factor);
  return p * factor;
}

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

// What one pixel attends to: for slot n, the entries of plan `plans[n * stride]` that begin at `first[n]`, in image n.
struct Places {
  const Shape& s;
  const float* kv;   // the first frame's
  int64_t frame, pixel;

  const float* image(int64_t slot) const {
    return kv + s.slot_frame(frame, slot) * s.pixels() * 2 * s.channels;
  }
};

// scores[places, row] of the piece's head += query . sampled keys.
template <int N>
void score(const Places& at, const Piece& piece, const Plan& plan, const float* query, float* scores, int64_t row) {
  const Shape& s = at.s;
  const int64_t step = 2 * s.channels, right = s.right() * step, below = s.below() * step, taps = s.taps();
  const Vector<N> q = load<N>(query + piece.channel);
  for (int64_t slot = 0; slot < s.frames; ++slot) {
    const float* image = at.image(slot) + piece.channel;
    const int64_t e = at.pixel * plan.count + (slot * s.deformable_groups + piece.group) * taps;
    for (int64_t t = 0; t < taps; ++t)
      scores[(slot * taps + t) * row + piece.head] +=
          sum<N>(q * sample<N>(image + plan.index[e + t] * step, right, below, plan.weight + 4 * (e + t)));
  }
}

// result[piece] = the sum of the sampled values times weights[places, row].
template <int N>
void collect(const Places& at, const Piece& piece, const Plan& plan, const float* weights, int64_t row, float* result) {
  const Shape& s = at.s;
  const int64_t step = 2 * s.channels, right = s.right() * step, below = s.below() * step, taps = s.taps();
  Vector<N> total{};
  for (int64_t slot = 0; slot < s.frames; ++slot) {
    const float* image = at.image(slot) + piece.channel;
    const int64_t e = at.pixel * plan.count + (slot * s.deformable_groups + piece.group) * taps;
    for (int64_t t = 0; t < taps; ++t)
      total += weights[(slot * taps + t) * row + piece.head] *
               sample<N>(image + plan.index[e + t] * step, right, below, plan.weight + 4 * (e + t));
  }
  store<N>(result + piece.channel - s.channels, total);
}

// q, y: [clips * frames, height, width, channels]; kv: the same with 2 * channels; offset: [..., entries, 2].
void forward(const Shape& s, const float* q, const float* kv, const float* offset, float* y, const Parallel& parallel) {
  const std::vector<Piece> keys = pieces(s, 0, 0, s.heads), values = pieces(s, s.channels, 0, s.heads);
  const int64_t row = round_up(s.heads, kLanes), cost = kTilePixels * s.places() * s.channels * 4;
  parallel(s.clips * s.frames * s.tiles(), cost, [&](int64_t begin, int64_t end) {
    Plan plan(s, s.entries(), 0, s.entries(), kTilePixels, false);
    const Buffer weights(s.places() * row), query(s.channels);
    for (int64_t i = begin; i < end; ++i) {
      const Tile tile = s.tile(i / s.tiles(), i % s.tiles());
      plan.fill<false>(tile, offset, nullptr);
      for (int64_t p = 0; p < tile.pixels(); ++p) {
        const int64_t pixel = s.at(tile, p) * s.channels;
        const Places at{s, kv, tile.image, p};
        for (int64_t c = 0; c < s.channels; ++c) query[c] = q[pixel + c] * s.scale();
        std::fill_n(static_cast<float*>(weights), s.places() * row, 0.0f);
        for (const Piece& piece : keys)
          with_lanes(piece.count, [&](auto n) { score<decltype(n)::value>(at, piece, plan, query, weights, row); });
        softmax(weights, s.places(), row);
        for (const Piece& piece : values)
          with_lanes(piece.count, [&](auto n) { collect<decltype(n)::value>(at, piece, plan, weights, row, y + pixel); });
      }
    }
  });
}

// ---- Backward ----

// Heads [begin, end) whose keys lie in the deformable groups [groups[0], groups[1]) and values in [groups[2], groups[3]),
// which no other heads use.
struct Unit {
  int64_t begin, end, groups[4];
};

std::vector<Unit> units(const Shape& s) {
  const int64_t group = s.group_channels(), head = s.head_channels();
  if (s.channels % group) return {{0, s.heads, {0, s.deformable_groups, 0, 0}}};  // a group has keys and values
  std::vector<Unit> result;
  for (int64_t h = 0, begin = 0; h < s.heads; ++h) {
    const int64_t first = begin * head, last = (h + 1) * head;
    if (last % group) continue;
    const int64_t values = s.channels / group;
    result.push_back({begin, h + 1, {first / group, last / group, values + first / group, values + last / group}});
    begin = h + 1;
  }
  return result;
}

// The plans of a unit's entries: for each slot, those of its key groups and of its value groups.
class UnitPlans {
 public:
  UnitPlans(const Shape& s, const Unit& unit) : s_(s), unit_(unit) {
    for (int64_t slot = 0; slot < s.frames; ++slot)
      for (int part = 0; part < 4; part += 2) {
        const int64_t groups = unit.groups[part + 1] - unit.groups[part];
        const int64_t first = (slot * s.deformable_groups + unit.groups[part]) * s.taps();
        plans_.push_back(std::make_unique<Plan>(s, s.entries(), first, groups * s.taps(), kTilePixels, true));
      }
  }

  void fill(const Tile& tile, const float* offset) {
    for (auto& plan : plans_)
      if (plan->count) plan->fill<true>(tile, offset, nullptr);
  }

  // The plan of a slot and deformable group, and the pixel's first entry in it.
  std::pair<const Plan*, int64_t> find(int64_t pixel, int64_t slot, int64_t group) const {
    const int part = group < unit_.groups[1] ? 0 : 2;
    const Plan* plan = plans_[slot * 2 + part / 2].get();
    return {plan, pixel * plan->count + (group - unit_.groups[part]) * s_.taps()};
  }

 private:
  const Shape& s_;
  const Unit unit_;
  std::vector<std::unique_ptr<Plan>> plans_;
};

// Per place and head: the four corners' products with the query or with the gradient, [places, row, 4].
template <int N>
void corner_products(const Places& at, const Piece& piece, const UnitPlans& plans, const float* vector, int64_t row,
                     float* products) {
  const Shape& s = at.s;
  const int64_t step = 2 * s.channels;
  const int64_t corner[4] = {0, s.right() * step, s.below() * step, (s.below() + s.right()) * step};
  const Vector<N> v = load<N>(vector);
  for (int64_t slot = 0; slot < s.frames; ++slot) {
    const auto [plan, e] = plans.find(at.pixel, slot, piece.group);
    const float* image = at.image(slot) + piece.channel;
    for (int64_t t = 0; t < s.taps(); ++t)
      for (int i = 0; i < 4; ++i)
        products[((slot * s.taps() + t) * row + piece.head) * 4 + i] +=
            sum<N>(v * load<N>(image + plan->index[e + t] * step + corner[i]));
  }
}

// Adds coefficient * vector to the gradient of the sampled places, and the samples times the coefficients to `result`
// where that is wanted.
template <int N, bool WithResult>
void spread(const Places& at, const Piece& piece, const UnitPlans& plans, const float* vector, const float* coefficients,
            int64_t row, float* grad_kv, float* result) {
  const Shape& s = at.s;
  const int64_t step = 2 * s.channels;
  const int64_t corner[4] = {0, s.right() * step, s.below() * step, (s.below() + s.right()) * step};
  const Vector<N> v = load<N>(vector);
  Vector<N> total{};
  for (int64_t slot = 0; slot < s.frames; ++slot) {
    const auto [plan, e] = plans.find(at.pixel, slot, piece.group);
    const int64_t image = s.slot_frame(at.frame, slot) * s.pixels() * step + piece.channel;
    for (int64_t t = 0; t < s.taps(); ++t) {
      const float coefficient = coefficients[(slot * s.taps() + t) * row + piece.head];
      for (int i = 0; i < 4; ++i) {
        const int64_t place = image + plan->index[e + t] * step + corner[i];
        const float weight = coefficient * plan->weight[4 * (e + t) + i];
        store<N>(grad_kv + place, load<N>(grad_kv + place) + weight * v);
        if (WithResult) total += weight * load<N>(at.kv + place);
      }
    }
  }
  if (WithResult) store<N>(result, total);
}

// The bilinear sample of the corners' products.
float interpolate(const float* weight, const float* products) {
  return weight[0] * products[0] + weight[1] * products[1] + weight[2] * products[2] + weight[3] * products[3];
}

// Adds a head's part of the gradient of the offsets of one deformable group, which lies at grad[frames, groups, taps, 2].
void differentiate(const Places& at, int64_t head, int64_t group, const UnitPlans& plans, const float* products,
                   const float* coefficients, int64_t row, float* grad) {
  const Shape& s = at.s;
  for (int64_t slot = 0; slot < s.frames; ++slot) {
    const auto [plan, e] = plans.find(at.pixel, slot, group);
    float* to = grad + (slot * s.deformable_groups + group) * s.taps() * 2;
    for (int64_t t = 0; t < s.taps(); ++t) {
      const int64_t place = (slot * s.taps() + t) * row + head;
      const float *p = products + place * 4, *wy = plan->axis + 8 * (e + t), *wx = wy + 2, *dy = wy + 4, *dx = wy + 6;
      const float upper = wx[0] * p[0] + wx[1] * p[1], lower = wx[0] * p[2] + wx[1] * p[3];
      to[2 * t] += coefficients[place] * (dy[0] * upper + dy[1] * lower);
      to[2 * t + 1] += coefficients[place] * (wy[0] * (dx[0] * p[0] + dx[1] * p[1]) + wy[1] * (dx[0] * p[2] + dx[1] * p[3]));
    }
  }
}
