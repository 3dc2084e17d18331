// What all kernels share: vectors, buffers and parallel loops.
//
// Everything is float32 and channels-last. Vectors are the compiler's own (GCC and Clang): sixteen lanes become one
// AVX-512 register, two AVX2 registers or four NEON ones, so one source serves every processor.
#ifndef ASCENDCV_OPS_CSRC_COMMON_H_
#define ASCENDCV_OPS_CSRC_COMMON_H_

#ifdef __AVX__
#include <immintrin.h>
#endif

#include <algorithm>
#include <atomic>
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
#elif defined(__aarch64__)  // which has 32 registers, too
constexpr int kLanes = 4, kRegisterVectors = 4;
#else
constexpr int kLanes = 4, kRegisterVectors = 2;
#endif
constexpr int kRegisterRows = 6;  // with kRegisterVectors: accumulators that fill the registers, and no more
constexpr int register_rows(int vectors) { return std::min(kRegisterRows * kRegisterVectors / vectors, 12); }

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

// Else the compiler loads a value again for each multiplication that takes it, and loads that cross cache lines are slow.
template <int N>
inline void keep_in_register(Vector<N>& v) {
#ifdef __AVX512F__
  asm("" : "+v"(v));
#elif defined(__AVX__)
  asm("" : "+x"(v));
#endif
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

// ---- Vectors of which only the first `count` lanes exist in memory; the others are 0 ----

template <int N>
inline Vector<N> load_first(const float* p, int64_t count) {
  Vector<N> v{};
#ifdef __AVX512F__
  if constexpr (N == 16) return _mm512_maskz_loadu_ps((1u << count) - 1, p);
#endif
  std::memcpy(&v, p, count * sizeof *p);
  return v;
}

template <int N>
inline void store_first(float* p, Vector<N> v, int64_t count) {
#ifdef __AVX512F__
  if constexpr (N == 16) return _mm512_mask_storeu_ps(p, (1u << count) - 1, v);
#endif
  std::memcpy(p, &v, count * sizeof *p);
}

using Lanes = Vector<kLanes>;

template <bool Whole>
inline Lanes load_lanes(const float* p, int64_t count) {
  if constexpr (Whole)
    return load<kLanes>(p);
  else
    return load_first<kLanes>(p, count);
}

template <bool Whole>
inline void store_lanes(float* p, Lanes v, int64_t count) {
  if constexpr (Whole)
    store<kLanes>(p, v);
  else
    store_first<kLanes>(p, v, count);
}

inline int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }
inline int64_t divide_up(int64_t n, int64_t divisor) { return (n + divisor - 1) / divisor; }

// Uninitialized floats on a cache line's boundary.
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

// A large buffer whose memory is kept for the next one: fresh pages cost as much as a pass over them.
class LargeBuffer {
 public:
  explicit LargeBuffer(int64_t size) {
    for (auto& slot : slots_) {
      buffer_ = slot.exchange(nullptr);
      if (buffer_ && buffer_->size >= size) return;
      delete buffer_;
    }
    buffer_ = new Kept{Buffer(size), size};
  }
  ~LargeBuffer() {
    for (auto& slot : slots_) {
      Kept* none = nullptr;
      if (buffer_->size <= kMostKept && slot.compare_exchange_strong(none, buffer_)) return;
    }
    delete buffer_;
  }
  LargeBuffer(const LargeBuffer&) = delete;
  LargeBuffer& operator=(const LargeBuffer&) = delete;
  operator float*() const { return buffer_->data; }

 private:
  struct Kept {
    Buffer data;
    int64_t size;
  };
  static constexpr int64_t kMostKept = int64_t{16} << 20;  // floats
  static inline std::atomic<Kept*> slots_[4] = {};
  Kept* buffer_;
};

// Runs work(begin, end) over disjoint ranges that cover [0, total), in parallel; cost is in cycles per item. Which
// ranges is up to the scheduler: results must not depend on it.
using Work = std::function<void(int64_t begin, int64_t end)>;
using Parallel = std::function<void(int64_t total, int64_t cost, const Work& work)>;

}  // namespace ascendcv

#endif  // ASCENDCV_OPS_CSRC_COMMON_H_
