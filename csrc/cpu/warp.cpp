#include "cpu/simd/warp.h"

#include <algorithm>
#include <memory>
#include <string>
#include <tuple>

#include "common/warp.h"
#include "cpu/huge_pages.h"
#include "cpu/parallel.h"

namespace latentcore {
namespace {

Tensor warp(const Tensor& images_, const Tensor& matrix_, const Tensor& fill, std::string interpolation,
            ScalarType dtype) {
  check_warp(images_, matrix_, fill, interpolation);
  const Tensor images = as_contiguous(images_);
  const Tensor matrix = as_contiguous(matrix_);
  const double gain = gain_of(images, dtype);
  const int64_t N = images.size(0), C = images.size(1), H = images.size(2), W = images.size(3), A = matrix.size(1);
  const Tensor out = advise_huge_pages(allocate(images, {N, A, C, H, W}, dtype));
  if (out.numel() == 0) return out;
  const WarpShape shape{C, H, W, interpolation == "nearest", *data<double>(fill)};
  const int64_t image_bytes = C * H * W * static_cast<int64_t>(images.element_size());
  const bool bytes = images.scalar_type() == ScalarType::Byte;

  dispatch_result(dtype, [&](auto type) {
    using T = typename decltype(type)::type;
    const auto forward = loops<WarpLoops<T>>().forward;
    // Few large images are shared out by rows of tiles; of many small ones a thread takes whole images, so that all
    // angles of an image are read while it is in the cache.
    const int64_t height = N >= 16 ? H : kTile, strips = (H + height - 1) / height;
    parallel(N * strips, cost_of({A, C, height, W}), [&](int64_t begin, int64_t end) {
      const std::unique_ptr<compute_t<T>[]> room(new compute_t<T>[kWarpRoom]);
      for (int64_t item = begin; item < end; ++item) {
        const int64_t n = item / strips, first = item % strips * height;
        forward(static_cast<const char*>(images.const_data_ptr()) + n * image_bytes, bytes, gain,
                data<double>(matrix) + n * A * 6, A, shape, first, std::min(first + height, H), room.get(),
                mutable_data<T>(out) + n * A * C * H * W);
      }
    });
  });
  return out;
}

std::tuple<Tensor, Tensor> warp_backward(const Tensor& grad_, const Tensor& images_, const Tensor& matrix_,
                                         const Tensor& fill, std::string interpolation, bool for_images,
                                         bool for_matrix) {
  check_warp_backward(grad_, images_, matrix_, fill, interpolation, for_images);
  const Tensor grad = as_contiguous(grad_);
  const Tensor images = as_contiguous(images_);
  const Tensor matrix = as_contiguous(matrix_);
  const double gain = gain_of(images, grad.scalar_type());
  const int64_t N = images.size(0), C = images.size(1), H = images.size(2), W = images.size(3), A = matrix.size(1);
  const bool bytes = images.scalar_type() == ScalarType::Byte;
  const ScalarType sum_type = compute_dtype(grad.scalar_type());
  const WarpShape plane{1, H, W, interpolation == "nearest", *data<double>(fill)};
  const Tensor grad_images = torch::stable::new_zeros(images, {for_images ? N : 0, C, H, W}, sum_type);
  // every plane's share of the matrix's gradient, added over the channels in order
  const Tensor shares = torch::stable::new_zeros(matrix, {for_matrix ? N : 0, C, A, 2, 3});
  Tensor grad_matrix = torch::stable::new_zeros(matrix, {for_matrix ? N : 0, A, 2, 3});

  dispatch_floating(grad.scalar_type(), "grad", [&](auto type) {
    using T = typename decltype(type)::type;
    const auto backward = loops<WarpLoops<T>>().backward;
    const int64_t plane_bytes = H * W * static_cast<int64_t>(images.element_size());
    parallel(N * C, cost_of({16, A, H, W}), [&](int64_t begin, int64_t end) {
      for (int64_t item = begin; item < end; ++item) {
        const int64_t n = item / C, c = item % C;
        for (int64_t a = 0; a < A; ++a) {
          backward(data<T>(grad) + ((n * A + a) * C + c) * H * W,
                   static_cast<const char*>(images.const_data_ptr()) + item * plane_bytes, bytes, gain,
                   data<double>(matrix) + (n * A + a) * 6, plane,
                   for_images ? mutable_data<compute_t<T>>(grad_images) + item * H * W : nullptr,
                   for_matrix ? mutable_data<double>(shares) + (item * A + a) * 6 : nullptr);
        }
      }
    });
  });
  if (for_matrix && shares.numel() > 0) {
    for (int64_t n = 0; n < N; ++n) {
      for (int64_t c = 0; c < C; ++c) {
        for (int64_t i = 0; i < A * 6; ++i) {
          mutable_data<double>(grad_matrix)[n * A * 6 + i] += data<double>(shares)[(n * C + c) * A * 6 + i];
        }
      }
    }
  }
  return {torch::stable::to(grad_images, grad.scalar_type()), grad_matrix};
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) {
  m.impl("warp", TORCH_BOX(&warp));
  m.impl("warp_backward", TORCH_BOX(&warp_backward));
}

}  // namespace latentcore
