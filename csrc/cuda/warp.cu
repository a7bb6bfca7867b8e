#include <tuple>

#include "common/warp.h"
#include "cuda/device.cuh"
#include "cuda/operator.h"
#include "cuda/warp_backward.cuh"
#include "math/sampling.h"

namespace latentcore {
namespace {

constexpr int kThreads = 256;
// Pixels of the result that a block of large images works on: neighbours in both directions read the same lines.
constexpr int kTileWidth = 32, kTileHeight = 32;
constexpr size_t kSharedBytes = size_t{48} << 10;

template <class T, class In>
struct WarpTask {
  const In* images;      // (N, C, H, W)
  const double* matrix;  // (N, A, 2, 3)
  const double* fill;
  T* out;  // (N, A, C, H, W)
  int64_t N, A;
  WarpShape shape;
  double gain;
};

// A pixel out of an image with a ring around it: no neighbour needs a check.
template <class C>
__device__ C sample_ringed(const C* image, int width, const Cell& cell, bool nearest, C fill) {
  if (!cell.valid) return fill;
  const C* corner = image + (static_cast<int>(cell.iy) + 1) * width + static_cast<int>(cell.ix) + 1;
  if (nearest) return corner[(cell.dy >= 0.5 ? width : 0) + (cell.dx >= 0.5 ? 1 : 0)];
  return bilinear(corner[0], corner[1], corner[width], corner[width + 1], static_cast<C>(cell.dx),
                  static_cast<C>(cell.dy));
}

// A small image per block: it is read once, converted, with a ring of the fill value, for all channels and angles.
template <class T, class In>
__global__ void __launch_bounds__(kThreads) warp_staged_kernel(const WarpTask<T, In> task) {
  using C = compute_t<T>;
  const WarpShape s = filled(task.shape, task.fill);
  const auto H = static_cast<int>(s.H), W = static_cast<int>(s.W), channels = static_cast<int>(s.C);
  const int pixels = H * W, width = W + 2, size = (H + 2) * width;
  const auto thread = static_cast<int>(threadIdx.x);
  C* staged = dynamic_shared<C>();
  for (int64_t n = blockIdx.x; n < task.N; n += gridDim.x) {
    const In* image = task.images + n * channels * pixels;
    for (int i = thread; i < channels * size; i += kThreads) {
      staged[i] = Plane<In, C>::of(image, task.gain, s, i / size).at(i % size / width - 1, i % width - 1);
    }
    __syncthreads();
    for (int64_t map = n * task.A; map < (n + 1) * task.A; ++map) {
      for (int i = thread; i < pixels; i += kThreads) {
        const int y = i / W, x = i % W;
        const Cell cell = cell_at(Row::of(task.matrix + map * 6, y), x, s);
        T* out = task.out + map * channels * pixels + i;
        for (int c = 0; c < channels; ++c) {
          out[c * pixels] =
              to_result<T>(sample_ringed(staged + c * size, width, cell, s.nearest, static_cast<C>(s.fill)));
        }
      }
    }
    __syncthreads();
  }
}

// Large images by tiles of the result; what is read comes through the caches.
template <class T, class In>
__global__ void __launch_bounds__(kThreads, 2) warp_tiled_kernel(const WarpTask<T, In> task) {
  using C = compute_t<T>;
  const WarpShape s = filled(task.shape, task.fill);
  const int64_t columns = (s.W + kTileWidth - 1) / kTileWidth, rows = (s.H + kTileHeight - 1) / kTileHeight;
  for (int64_t tile = blockIdx.x; tile < task.N * task.A * rows * columns; tile += gridDim.x) {
    const int64_t map = tile / (rows * columns), n = map / task.A;
    const int64_t x = tile % columns * kTileWidth + threadIdx.x % kTileWidth;
    const int64_t top = tile / columns % rows * kTileHeight, bottom = min(top + kTileHeight, s.H);
    if (x >= s.W) continue;
    for (int64_t y = top + threadIdx.x / kTileWidth; y < bottom; y += kThreads / kTileWidth) {
      const Cell cell = cell_at(Row::of(task.matrix + map * 6, y), x, s);
      for (int64_t c = 0; c < s.C; ++c) {
        const auto plane = Plane<In, C>::of(task.images + n * s.C * s.H * s.W, task.gain, s, c);
        task.out[((map * s.C + c) * s.H + y) * s.W + x] = to_result<T>(sample(plane, cell, s.nearest));
      }
    }
  }
}

unsigned int grid_of(int64_t blocks) { return static_cast<unsigned int>(std::min<int64_t>(blocks, (1u << 31) - 1)); }

template <class T, class In>
void launch_warp(const WarpTask<T, In>& task, cudaStream_t stream) {
  const WarpShape& s = task.shape;
  // compared in double: no product can overflow
  const double bytes = static_cast<double>(s.C) * static_cast<double>(s.H + 2) * static_cast<double>(s.W + 2) *
                       static_cast<double>(sizeof(compute_t<T>));
  if (bytes <= static_cast<double>(kSharedBytes)) {
    launch({grid_of(task.N), kThreads, static_cast<size_t>(bytes), stream}, warp_staged_kernel<T, In>, task);
  } else {
    const int64_t tiles = ((s.W + kTileWidth - 1) / kTileWidth) * ((s.H + kTileHeight - 1) / kTileHeight);
    launch({grid_of(task.N * task.A * tiles), kThreads, 0, stream}, warp_tiled_kernel<T, In>, task);
  }
  check_launch("warp");
}

Tensor warp(const Tensor& images_, const Tensor& matrix_, const Tensor& fill, std::string interpolation,
            ScalarType dtype) {
  check_warp(images_, matrix_, fill, interpolation);
  const DeviceGuard guard(images_.get_device_index());
  const Tensor images = as_contiguous(images_), matrix = as_contiguous(matrix_);
  const double gain = gain_of(images, dtype);
  const int64_t N = images.size(0), C = images.size(1), H = images.size(2), W = images.size(3), A = matrix.size(1);
  const Tensor out = allocate(images, {N, A, C, H, W}, dtype);
  if (out.numel() == 0) return out;
  const WarpShape shape{C, H, W, interpolation == "nearest", 0.0};

  dispatch_result(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const auto run = [&]<class In>(Type<In>) {
      launch_warp<T, In>(
          {data<In>(images), data<double>(matrix), data<double>(fill), mutable_data<T>(out), N, A, shape, gain},
          current_stream(images));
    };
    if (images.scalar_type() == ScalarType::Byte) {
      run(Type<uint8_t>{});
    } else {
      run(Type<T>{});
    }
  });
  return out;
}

template <class T, class In>
void launch_warp_backward(const WarpBackwardTask<T, In>& task, cudaStream_t stream) {
  const WarpShape& s = task.shape;
  if (task.grad_images != nullptr) {
    const int64_t blocks = (task.N * s.C * s.H * s.W + kGradientThreads - 1) / kGradientThreads;
    launch({grid_of(blocks), kGradientThreads, 0, stream}, warp_image_gradient_kernel<T, In>, task);
  }
  if (task.grad_matrix != nullptr) {
    launch({grid_of(task.N * task.A), kGradientThreads, 0, stream}, warp_matrix_gradient_kernel<T, In>, task);
  }
  check_launch("warp_backward");
}

std::tuple<Tensor, Tensor> warp_backward(const Tensor& grad_, const Tensor& images_, const Tensor& matrix_,
                                         const Tensor& fill, std::string interpolation, bool for_images,
                                         bool for_matrix) {
  check_warp_backward(grad_, images_, matrix_, fill, interpolation, for_images);
  const DeviceGuard guard(images_.get_device_index());
  const Tensor grad = as_contiguous(grad_), images = as_contiguous(images_), matrix = as_contiguous(matrix_);
  const double gain = gain_of(images, grad.scalar_type());
  const int64_t N = images.size(0), C = images.size(1), H = images.size(2), W = images.size(3), A = matrix.size(1);
  const Tensor grad_images = allocate(images, {for_images ? N : 0, C, H, W}, grad.scalar_type());
  const Tensor grad_matrix = torch::stable::new_zeros(matrix, {for_matrix ? N : 0, A, 2, 3});
  const WarpShape shape{C, H, W, interpolation == "nearest", 0.0};
  if (N * C == 0) return {grad_images, grad_matrix};

  dispatch_floating(grad.scalar_type(), "grad", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto run = [&]<class In>(Type<In>) {
      launch_warp_backward<T, In>(
          {data<T>(grad), data<In>(images), data<double>(matrix), data<double>(fill),
           for_images ? mutable_data<T>(grad_images) : nullptr,
           for_matrix && A > 0 ? mutable_data<double>(grad_matrix) : nullptr, N, A, shape, gain},
          current_stream(images));
    };
    if (images.scalar_type() == ScalarType::Byte) {
      run(Type<uint8_t>{});
    } else {
      run(Type<T>{});
    }
  });
  return {grad_images, grad_matrix};
}

}  // namespace

LATENTCORE_CUDA_OPERATORS(m) {
  m.impl("warp", TORCH_BOX(&warp));
  m.impl("warp_backward", TORCH_BOX(&warp_backward));
}

}  // namespace latentcore
