// The gradients of a warp in the image and in the map, without atomic additions, so that they are the same in every
// run: a thread gathers what belongs to one pixel of the image, a block sums what belongs to one map.
#pragma once

#include "cuda/device.cuh"
#include "math/sampling.h"

namespace latentcore {
namespace {

constexpr int kGradientThreads = 256;

template <class T, class In>
struct WarpBackwardTask {
  const T* grad;         // (N, A, C, H, W)
  const In* images;      // (N, C, H, W)
  const double* matrix;  // (N, A, 2, 3)
  const double* fill;
  T* grad_images;       // (N, C, H, W) or nullptr
  double* grad_matrix;  // (N, A, 2, 3) or nullptr
  int64_t N, A;
  WarpShape shape;
  double gain;
};

// What the host says of the images, with the fill, which lies on the device.
__device__ inline WarpShape filled(WarpShape shape, const double* fill) {
  shape.fill = *fill;
  return shape;
}

struct Range {
  int64_t begin, end;
};

// The pixels of the result, along one axis, whose source may lie within one pixel of `at`: one row of the inverse map
// takes the square around it to `center` +- `reach`.
__device__ inline Range reached(double center, double reach, int64_t size) {
  const double slack = reach + 1e-6 * (1 + abs(center));  // the inverse is rounded
  // without an inverse these are NaN, and the limits remain: every pixel may be one
  const double first = max(floor(center - slack), 0.0);
  const double last = min(floor(center + slack) + 1, static_cast<double>(size - 1));
  return first <= last ? Range{static_cast<int64_t>(first), static_cast<int64_t>(last) + 1} : Range{0, 0};
}

struct Candidates {
  Range rows, columns;
};

__device__ inline Candidates candidates(const double* m, const WarpShape& s, int64_t iy, int64_t ix) {
  const double determinant = m[0] * m[4] - m[1] * m[3];
  const double a = m[4] / determinant, b = -m[1] / determinant, c = -m[3] / determinant, d = m[0] / determinant;
  const double x = static_cast<double>(ix) - m[2], y = static_cast<double>(iy) - m[5];
  return {reached(c * x + d * y, abs(c) + abs(d), s.H), reached(a * x + b * y, abs(a) + abs(b), s.W)};
}

// How much of the image's pixel (iy, ix) is in the cell's sample.
__device__ inline double share(const Cell& cell, int64_t iy, int64_t ix, bool nearest) {
  if (!cell.valid) return 0;
  const int64_t right = ix - cell.ix, below = iy - cell.iy;
  if (right < 0 || right > 1 || below < 0 || below > 1) return 0;
  if (nearest) return (cell.dx >= 0.5) == (right == 1) && (cell.dy >= 0.5) == (below == 1) ? 1 : 0;
  return (right == 1 ? cell.dx : 1 - cell.dx) * (below == 1 ? cell.dy : 1 - cell.dy);
}

template <class T, class In>
__global__ void __launch_bounds__(kGradientThreads, 2) warp_image_gradient_kernel(const WarpBackwardTask<T, In> task) {
  using C = compute_t<T>;
  const WarpShape& s = task.shape;
  const int64_t pixels = s.H * s.W, stride = static_cast<int64_t>(gridDim.x) * kGradientThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kGradientThreads + threadIdx.x; i < task.N * s.C * pixels;
       i += stride) {
    const int64_t n = i / (s.C * pixels), c = i / pixels % s.C, iy = i % pixels / s.W, ix = i % s.W;
    C sum = 0;
    for (int64_t a = 0; a < task.A; ++a) {
      const double* matrix = task.matrix + (n * task.A + a) * 6;
      const T* grad = task.grad + ((n * task.A + a) * s.C + c) * pixels;
      const Candidates found = candidates(matrix, s, iy, ix);
      for (int64_t y = found.rows.begin; y < found.rows.end; ++y) {
        const Row row = Row::of(matrix, y);
        for (int64_t x = found.columns.begin; x < found.columns.end; ++x) {
          const auto weight = static_cast<C>(share(cell_at(row, x, s), iy, ix, s.nearest));
          if (weight != C(0)) sum += weight * static_cast<C>(load(grad[y * s.W + x]));
        }
      }
    }
    task.grad_images[i] = store<T>(sum);
  }
}

// One map per block. The six gradients are those of the source's coordinates times (x, y, 1).
template <class T, class In>
__global__ void __launch_bounds__(kGradientThreads, 2) warp_matrix_gradient_kernel(const WarpBackwardTask<T, In> task) {
  using C = compute_t<T>;
  const WarpShape s = filled(task.shape, task.fill);
  const int64_t pixels = s.H * s.W;
  for (int64_t map = blockIdx.x; map < task.N * task.A; map += gridDim.x) {
    const In* image = task.images + map / task.A * s.C * pixels;
    double sums[6] = {};
    for (int64_t i = threadIdx.x; i < pixels && !s.nearest; i += kGradientThreads) {
      const int64_t y = i / s.W, x = i % s.W;
      const Cell cell = cell_at(Row::of(task.matrix + map * 6, y), x, s);
      if (!cell.valid) continue;
      double by_x = 0, by_y = 0;
      for (int64_t channel = 0; channel < s.C; ++channel) {
        const auto plane = Plane<In, C>::of(image, task.gain, s, channel);
        const double g = load(task.grad[(map * s.C + channel) * pixels + i]);
        const Slopes slopes = slopes_at(plane, cell);
        by_x += g * slopes.x;
        by_y += g * slopes.y;
      }
      const auto column = static_cast<double>(x), line = static_cast<double>(y);
      const double terms[6] = {by_x * column, by_x * line, by_x, by_y * column, by_y * line, by_y};
      for (int k = 0; k < 6; ++k) sums[k] += terms[k];
    }
    for (int k = 0; k < 6; ++k) {
      const double total = block_sum<kGradientThreads>(sums[k]);
      if (threadIdx.x == 0) task.grad_matrix[map * 6 + k] = total;
    }
  }
}

}  // namespace
}  // namespace latentcore
