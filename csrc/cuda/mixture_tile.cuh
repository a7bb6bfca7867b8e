// A block of threads at work on a tile of S samples: their differences from a mean lie in shared memory, a row per
// dimension, so that a thread reads what it needs of neighbouring samples 16 bytes at a time.
#pragma once

#include "cuda/mixture_parameters.cuh"

namespace latentcore {

constexpr int kTileThreads = 128;
constexpr int kQuad = 4;  // samples, and columns of a factor, that a thread works on at once
static_assert(kQuad == kColumns);

// Neighbours in shared memory that one access reads.
template <class C>
constexpr int kVector = 16 / static_cast<int>(sizeof(C));
// Of a dimension's row: accesses of 16 bytes by eight rows meet in no bank.
template <class C, int S>
constexpr int kPitch = S + kVector<C>;

// Dimensions are padded to whole squares of second moments: of side 32, beyond 32 dimensions of side 64.
LATENTCORE_FUNCTION int square_side(int64_t D) { return D <= 32 ? 32 : 64; }
LATENTCORE_FUNCTION int64_t padded_rows(int64_t D) {
  return (D + square_side(D) - 1) / square_side(D) * square_side(D);
}

// Calls body(S) as a constant: as many samples as keep a tile small.
template <class Body>
void dispatch_tile(int64_t D, const Body& body) {
  if (D <= 32) return body(std::integral_constant<int, 128>{});
  if (D <= 64) return body(std::integral_constant<int, 64>{});
  return body(std::integral_constant<int, 32>{});
}

template <class C, int S>
size_t tile_bytes(int64_t D, int arrays) {
  return static_cast<size_t>(arrays * padded_rows(D) * kPitch<C, S> + kQuad * kTileThreads + S) * sizeof(C);
}

// Where a tile lies in the batch.
template <int S>
struct SampleTile {
  int64_t b, first, count;  // samples first ... first + count - 1 of mixture b

  __device__ SampleTile(const MixtureShape& shape, int64_t tile) {
    const int64_t tiles = tile_count(shape.N);
    b = tile / tiles;
    first = tile % tiles * S;
    count = min(shape.N - first, int64_t{S});
  }
  LATENTCORE_MEMBER static int64_t tile_count(int64_t N) { return (N + S - 1) / S; }
};

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }

// differences[i * pitch + sample] = x - mean; 0 for samples that are not there or that have no weight, and in the
// padding. The block has to meet before they are read. A warp reads eight dimensions of four samples: whole sectors of
// memory, and no two lanes write to one bank.
template <int S, class T, class Counts>
__device__ void load_differences(const T* x, const SampleTile<S>& tile, const MixtureShape& shape,
                                 const compute_t<T>* mean, const Counts& counts, compute_t<T>* differences) {
  const auto D = static_cast<int>(shape.D), rows = static_cast<int>(padded_rows(shape.D));
  for (int s = thread() / 8; s < S; s += kTileThreads / 8) {
    const int64_t row = tile.b * shape.N + tile.first + s;
    const bool present = s < tile.count && counts(row);
    for (int i = thread() % 8; i < rows; i += 8) {
      differences[i * kPitch<compute_t<T>, S> + s] =
          present && i < D ? static_cast<compute_t<T>>(load(x[row * D + i])) - mean[i] : 0;
    }
  }
}

// Four neighbouring samples of a row.
template <class C>
__device__ void load_quad(const C* source, C (&out)[kQuad]) {
#pragma unroll
  for (int v = 0; v < kQuad; v += kVector<C>) {
    const auto pack = load_pack<kVector<C>>(source + v);
#pragma unroll
    for (int e = 0; e < kVector<C>; ++e) out[v + e] = pack.values[e];
  }
}

template <class C>
__device__ void store_quad(const C (&values)[kQuad], C* out) {
#pragma unroll
  for (int v = 0; v < kQuad; v += kVector<C>) {
    Pack<C, kVector<C>> pack;
#pragma unroll
    for (int e = 0; e < kVector<C>; ++e) pack.values[e] = values[v + e];
    store_pack(pack, out + v);
  }
}

// Adds to `sums` the squares of columns j ... j + 3 of P^T (x - mean) of the thread's four samples.
template <int S, class C>
__device__ void add_columns(const MixtureShape& shape, const C* factor, int j, const C* differences, C (&sums)[kQuad],
                            C* whitened) {
  const auto D = static_cast<int>(shape.D), padded = static_cast<int>(shape.padded());
  C y[kColumns][kQuad] = {}, difference[kQuad];
#pragma unroll 4
  for (int i = 0; i < min(j + kColumns, D); ++i) {
    load_quad(differences + i * kPitch<C, S>, difference);
    const auto row = load_pack<kColumns>(factor + i * padded + j);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
#pragma unroll
      for (int s = 0; s < kQuad; ++s) y[c][s] += row.values[c] * difference[s];
    }
  }
#pragma unroll
  for (int c = 0; c < kColumns; ++c) {
#pragma unroll
    for (int s = 0; s < kQuad; ++s) sums[s] += y[c][s] * y[c][s];
    if (whitened != nullptr) store_quad(y[c], whitened + (j + c) * kPitch<C, S>);
  }
}

// The squared distance of the thread's sample. Where it is NaN though no difference is, infinity less infinity, it is
// infinite and the density 0; the offset of a component whose parameters hold NaN is NaN.
template <int S, class C>
__device__ C settled(C distance, int64_t D, const C* differences) {
  if (distance == distance) return distance;
  for (int64_t i = 0; i < D; ++i) {
    const C difference = differences[i * kPitch<C, S> + thread()];
    if (difference != difference) return difference;
  }
  return static_cast<C>(__builtin_inf());
}

// The logarithm of weight times density of component k, of sample t in thread t < S. Threads share the columns of the
// triangle by pairs of a short and a long one. Where `whitened` is given, P^T (x - mean) is kept there. `parts` holds
// four numbers per thread; the block meets once, before they are read.
template <int S, class C>
__device__ C log_joint(const Mixtures<C>& mixtures, int64_t b, int64_t k, const C* differences, C* parts,
                       C* whitened = nullptr) {
  constexpr int quads = S / kQuad, groups = kTileThreads / quads;
  const MixtureShape& shape = mixtures.shape;
  const auto D = static_cast<int>(shape.D);
  const int s = thread() % quads * kQuad, group = thread() / quads;
  const C* factor = mixtures.factor(b, k);
  C sums[kQuad] = {}, difference[kQuad];
  const C* all = differences;
  differences += s;
  if (whitened != nullptr) whitened += s;
  if (shape.triangular()) {
    const int columns = static_cast<int>(shape.padded()) / kColumns;
    for (int c = group; 2 * c < columns; c += groups) {
      add_columns<S>(shape, factor, c * kColumns, differences, sums, whitened);
      const int other = columns - 1 - c;
      if (other != c) add_columns<S>(shape, factor, other * kColumns, differences, sums, whitened);
    }
  } else {
#pragma unroll 4
    for (int i = group; i < D; i += groups) {
      load_quad(differences + i * kPitch<C, S>, difference);
#pragma unroll
      for (int e = 0; e < kQuad; ++e) {
        difference[e] *= factor[i];
        sums[e] += difference[e] * difference[e];
      }
      if (whitened != nullptr) store_quad(difference, whitened + i * kPitch<C, S>);
    }
  }
  store_quad(sums, parts + group * S + s);
  __syncthreads();
  C distance = 0;
  for (int g = 0; g < groups && thread() < S; ++g) distance += parts[g * S + thread()];
  return mixtures.offset(b, k) - C(0.5) * settled<S>(distance, D, all);
}

// Logarithm of a sum of exponentials, one term after the other.
template <class C>
struct LogSum {
  C greatest = -static_cast<C>(__builtin_inf()), sum = 0;

  __device__ void add(C value) {
    const C next = value > greatest ? value : greatest;
    const C base = finite_or_zero(next);
    sum = sum * exp(greatest - base) + exp(value - base);
    greatest = next;
  }
  __device__ C value() const { return finite_or_zero(greatest) + log(sum); }
};

}  // namespace latentcore
