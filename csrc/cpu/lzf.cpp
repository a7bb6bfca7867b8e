// LZF, with which h5py packs chunks of HDF5 files: literals, and repetitions of what stands at most 8 KiB before.
#include <cstring>

#include "common/checks.h"
#include "common/dispatch.h"

namespace latentcore {
namespace {

constexpr size_t kWide = 32;               // bytes that are copied at once: the longest run of literals
constexpr size_t kRoom = 264 + 2 * kWide;  // for the longest repetition and what `repeat` writes beyond

// The bytes go through registers, so that the two places may overlap.
inline void copy_wide(uint8_t* out, const uint8_t* from) {
  uint8_t bytes[kWide];
  std::memcpy(bytes, from, kWide);
  std::memcpy(out, bytes, kWide);
}

// Continues what repeats every `distance` bytes before `out`, until `end` and less than two wide copies beyond.
inline void repeat(uint8_t* out, const uint8_t* end, size_t distance) {
  if (distance == 1) {  // mostly zeros
    uint8_t bytes[kWide];
    std::memset(bytes, out[-1], kWide);
    for (; out < end; out += kWide) std::memcpy(out, bytes, kWide);
    return;
  }
  // of a copy over a shorter distance only its first period is right; with that, twice the distance is a period too
  for (const uint8_t* from = out - distance; distance < kWide; distance *= 2) {
    copy_wide(out, from);
    out += distance;
  }
  for (; out < end; out += kWide) copy_wide(out, out - distance);
}

// Whether `packed` unpacks to exactly `size` bytes. Nothing outside of the two ranges is touched, whatever they hold.
bool unpack(const uint8_t* packed, size_t packed_size, uint8_t* begin, size_t size) {
  const uint8_t *in = packed, *const in_end = packed + packed_size;
  uint8_t *out = begin, *const out_end = begin + size;
  while (in < in_end) {
    const size_t left = static_cast<size_t>(in_end - in), room = static_cast<size_t>(out_end - out);
    const bool wide = left > kWide && room >= kRoom;
    const size_t control = *in++;
    if (control < 32) {
      const size_t count = control + 1;
      if (left <= count || room < count) return false;
      if (wide) {
        copy_wide(out, in);
      } else {
        for (size_t i = 0; i < count; ++i) out[i] = in[i];
      }
      in += count;
      out += count;
      continue;
    }
    size_t count = (control >> 5) + 2;
    const bool longer = count == 9;
    if (left < (longer ? 3 : 2)) return false;
    if (longer) count += *in++;
    const size_t distance = ((control & 31) << 8) + *in++ + 1;
    if (static_cast<size_t>(out - begin) < distance || room < count) return false;
    if (wide) {
      repeat(out, out + count, distance);
    } else {
      for (size_t i = 0; i < count; ++i) out[i] = (out - distance)[i];
    }
    out += count;
  }
  return out == out_end;
}

bool lzf_decompress(const Tensor& packed, const Tensor& out) {
  check_dim(packed, 1, "packed");
  check_dim(out, 1, "out");
  check_dtype(packed, ScalarType::Byte, "packed");
  check_dtype(out, ScalarType::Byte, "out");
  STD_TORCH_CHECK(packed.is_contiguous() && out.is_contiguous(), "packed, out: expected contiguous tensors");
  return unpack(data<uint8_t>(packed), static_cast<size_t>(packed.numel()), mutable_data<uint8_t>(out),
                static_cast<size_t>(out.numel()));
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(latentcore, CPU, m) { m.impl("lzf_decompress", TORCH_BOX(&lzf_decompress)); }

}  // namespace latentcore
