// Stretches whose length is a constant, so that what belongs to one stays in registers.
#pragma once

#include <cstdint>

#include "math/qualifiers.h"

namespace latentcore {

template <int64_t value>
struct Width {
  static constexpr int64_t width = value;
};

// Calls body(at, Width<w>) for stretches of w = widest, widest / 2, ... 1 that make up `length`; widest is 4, 2 or 1.
template <int64_t widest, class Body>
LATENTCORE_FUNCTION void for_tiles(int64_t length, Body body) {
  int64_t at = 0;
  for (; at + widest <= length; at += widest) body(at, Width<widest>{});
  if constexpr (widest >= 4) {
    if (at + 2 <= length) body(at, Width<2>{}), at += 2;
  }
  if constexpr (widest >= 2) {
    if (at < length) body(at, Width<1>{});
  }
}

// Columns, or rows, of a triangular matrix that are handled at once.
constexpr int64_t kTileWidth = 4;

// Numbers in a packed triangle: a tile of columns reaches down to its last column's diagonal.
LATENTCORE_FUNCTION int64_t packed_size(int64_t D) {
  int64_t size = 0;
  for_tiles<kTileWidth>(D, [&](int64_t j, auto tile) { size += tile.width * (j + tile.width); });
  return size;
}

}  // namespace latentcore
