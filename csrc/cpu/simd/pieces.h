// Loops over pieces of a fixed size, for rows too short to waste a register on what is left over.
#pragma once

#include <type_traits>

#include "math/elementary.h"

#ifdef LATENTCORE_LEVEL

namespace latentcore {
namespace {

// Calls body(slot, begin, n) for pieces of `piece` elements that cover [0, count), slot = 0, piece, 2 piece, ...; the
// last one overlaps the one before, so that n < piece only where count is.
template <int64_t piece, class Body>
LATENTCORE_FUNCTION void cover(int64_t count, const Body& body) {
  const int64_t last = max(count - piece, int64_t{0}), n = min(count, piece);
  for (int64_t slot = 0; slot < count; slot += piece) body(slot, min(slot, last), n);
}

// Calls body(n) with a constant for n = `piece`, of which the compiler makes whole registers.
template <int64_t piece, class Body>
LATENTCORE_FUNCTION void with_size(int64_t n, const Body& body) {
  if (n == piece) {
    body(std::integral_constant<int64_t, piece>{});
  } else {
    body(n);
  }
}

}  // namespace
}  // namespace latentcore

#endif
