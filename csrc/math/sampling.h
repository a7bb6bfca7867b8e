// Bilinear sampling of an image at a point between its pixels.
#pragma once

#include "math/elementary.h"

namespace latentcore {

// The four pixels around the point, and how far the point lies from the left upper one, in [0, 1].
template <class T>
LATENTCORE_FUNCTION T bilinear(T left_upper, T right_upper, T left_lower, T right_lower, T dx, T dy) {
  // exact where the point lies on a pixel, at either end: a + d * (b - a) is not
  const T upper = (T(1) - dx) * left_upper + dx * right_upper;
  const T lower = (T(1) - dx) * left_lower + dx * right_lower;
  return (T(1) - dy) * upper + dy * lower;
}

}  // namespace latentcore
