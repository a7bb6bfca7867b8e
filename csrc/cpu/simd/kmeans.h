// K-means on blocks of samples, transposed so that loops run over samples.
#pragma once

#include "cpu/simd/levels.h"

namespace latentcore {

// R sets of K centres, (R, K, D), in the type of computation.
template <class C>
struct Centres {
  int64_t R, K, D;
  const C* values;
};

// Room for one block of samples, at most `size` of them, filled up with zeros to whole registers.
template <class C>
struct KmeansWorkspace {
  int64_t size;
  C* x;        // (D, size)
  C* nearest;  // (size), squared distance to the nearest centre
  C* label;    // (size), its number
};

// Each loop handles `count` samples; arrays begin at the first of them. `sample_weight` may be null. What belongs to
// the next set of centres, or to the next point, is `stride` further on.
template <class T>
struct KmeansLoops {
  using C = compute_t<T>;

  // Labels; and added to `sums` for every set of centres: the inertia (1), the samples' weight (K) and their weighted
  // differences from the centre (K, D).
  void (*step)(const Centres<C>& centres, const T* x, const T* sample_weight, int64_t count, int64_t stride,
               const KmeansWorkspace<C>& work, int32_t* labels, double* sums);
  // For K points: the weighted sum of the squared distances to the point, or of `closest` where that is less, is added
  // to `sums` (K). `out`, which may be `closest` itself or null, gets those of the last point.
  void (*potentials)(const Centres<C>& points, const T* x, const T* sample_weight, const C* closest, int64_t count,
                     const KmeansWorkspace<C>& work, C* out, double* sums);

  template <SimdLevel level>
  static KmeansLoops at();
};

}  // namespace latentcore

#ifdef LATENTCORE_LEVEL

#include "cpu/simd/mixture_block.h"
#include "cpu/simd/transposed.h"
#include "cpu/simd/vector.h"

namespace latentcore {
namespace {

// square[c][v] = |x - centre c|^2 for `width` neighbouring centres and `vectors` registers of samples
template <int64_t width, int64_t vectors, class C>
LATENTCORE_FUNCTION void squared_distances(const C* centres, int64_t D, const C* x, int64_t size,
                                           Vector<C> (&square)[width][vectors]) {
  for (int64_t i = 0; i < D; ++i) {
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) {
      const Vector<C> value = load_vector(x + i * size + v * kLanes<C>);
      LATENTCORE_UNROLL
      for (int64_t c = 0; c < width; ++c) {
        const Vector<C> difference = value - centres[c * D + i];
        square[c][v] += difference * difference;
      }
    }
  }
}

// work.nearest and work.label for one set of centres. Equally near: the first.
template <class C>
LATENTCORE_FUNCTION void find_nearest(const C* centres, int64_t K, int64_t D, int64_t count,
                                      const KmeansWorkspace<C>& work) {
  for_registers<C>(count, [&](int64_t s, auto samples) {
    constexpr int64_t vectors = decltype(samples)::width;
    Vector<C> nearest[vectors], label[vectors];
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) {
      nearest[v] = static_cast<C>(__builtin_inf()) + Vector<C>{};
      label[v] = Vector<C>{};
    }
    for_tiles<2>(K, [&](int64_t k, auto tile) {
      constexpr int64_t width = decltype(tile)::width;
      Vector<C> square[width][vectors] = {};
      squared_distances<width, vectors>(centres + k * D, D, work.x + s, work.size, square);
      LATENTCORE_UNROLL
      for (int64_t c = 0; c < width; ++c) {
        const Vector<C> number = static_cast<C>(k + c) + Vector<C>{};
        LATENTCORE_UNROLL
        for (int64_t v = 0; v < vectors; ++v) {
          label[v] = square[c][v] < nearest[v] ? number : label[v];
          nearest[v] = square[c][v] < nearest[v] ? square[c][v] : nearest[v];
        }
      }
    });
    LATENTCORE_UNROLL
    for (int64_t v = 0; v < vectors; ++v) {
      store_vector<C>(nearest[v], work.nearest + s + v * kLanes<C>);
      store_vector<C>(label[v], work.label + s + v * kLanes<C>);
    }
  });
}

template <class T>
void kmeans_step(const Centres<compute_t<T>>& centres, const T* x, const T* sample_weight, int64_t count,
                 int64_t stride, const KmeansWorkspace<compute_t<T>>& work, int32_t* labels, double* sums) {
  using C = compute_t<T>;
  const auto [R, K, D, values] = centres;
  load_transposed(x, count, D, work.size, work.x);
  for (int64_t r = 0; r < R; ++r, labels += stride) {
    const C* set = values + r * K * D;
    find_nearest(set, K, D, rounded_up<C>(count), work);
    double* weights = sums + r * (1 + K + K * D) + 1;
    for (int64_t s = 0; s < count; ++s) {
      const auto label = static_cast<int64_t>(work.label[s]);
      const C weight = sample_weight == nullptr ? C(1) : load(sample_weight[s]);
      labels[s] = static_cast<int32_t>(label);
      weights[-1] += static_cast<double>(weight * work.nearest[s]);
      weights[label] += static_cast<double>(weight);
      double* shifts = weights + K + label * D;
      const C* centre = set + label * D;
      const T* sample = x + s * D;
#pragma omp simd
      for (int64_t i = 0; i < D; ++i) shifts[i] += static_cast<double>(weight * (load(sample[i]) - centre[i]));
    }
  }
}

template <class T>
void kmeans_potentials(const Centres<compute_t<T>>& points, const T* x, const T* sample_weight,
                       const compute_t<T>* closest, int64_t count, const KmeansWorkspace<compute_t<T>>& work,
                       compute_t<T>* out, double* sums) {
  using C = compute_t<T>;
  const auto [R, K, D, values] = points;
  load_transposed(x, count, D, work.size, work.x);
  for (int64_t k = 0; k < K; ++k) {
    find_nearest(values + k * D, 1, D, rounded_up<C>(count), work);
    C sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t s = 0; s < count; ++s) {
      const C value = work.nearest[s] < closest[s] ? work.nearest[s] : closest[s];
      if (out != nullptr) out[s] = value;
      sum += sample_weight == nullptr ? value : value * load(sample_weight[s]);
    }
    sums[k] += static_cast<double>(sum);
  }
}

}  // namespace

LATENTCORE_LOOPS(KmeansLoops, &kmeans_step<T>, &kmeans_potentials<T>)

}  // namespace latentcore

#endif
