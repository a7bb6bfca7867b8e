"""The error of the elementary functions in units of the last place, at every instruction set."""

import math

import numpy as np
import pytest
from tests.ops.levels import LEVELS, at_level

from latentcore import _C

# name, range, exact values in long double, greatest error in float32 and in float64 (docs/numerics.md)
FUNCTIONS = [
    ("exp", (-87, 88), np.exp, 1.0, 2.0),
    ("exp_nonpositive", (-87, 0), np.exp, 1.0, 2.0),
    ("log", (1e-30, 1e30), np.log, 1.0, 1.0),
    ("log", (0.5, 2.0), np.log, 1.0, 1.0),
    ("twice_artanh", (0, 1 / 3), lambda x: 2 * np.arctanh(x), 1.0, 1.0),
    ("sine_quarter", (-0.5, 0.5), lambda x: np.sin(x * np.longdouble("1.570796326794896619231")), 2.0, 2.0),
    ("cosine_quarter", (-0.5, 0.5), lambda x: np.cos(x * np.longdouble("1.570796326794896619231")), 2.0, 2.0),
]
HOOKS = {np.float32: _C.elementary_float, np.float64: _C.elementary_double}


@pytest.fixture(params=LEVELS, autouse=True)
def simd(request):
    with at_level(request.param):
        yield


def points(low, high, dtype):
    random = np.random.default_rng(0)
    uniform = random.uniform(low, high, 40_000)
    if low > 0:
        uniform = np.concatenate([uniform, np.exp(random.uniform(math.log(low), math.log(high), 40_000))])
    return np.concatenate([uniform, [low, high]]).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "span", "exact", "float_bound", "double_bound"), FUNCTIONS)
def test_error_in_the_last_place(name, span, exact, float_bound, double_bound, dtype):
    x = points(*span, dtype)
    found = np.array(HOOKS[dtype](name, x.tolist()), np.longdouble)
    expected = exact(x.astype(np.longdouble))
    # near a zero of the function the unit is that of the least normal number of the range
    unit = np.spacing(np.abs(expected.astype(dtype))).astype(np.longdouble)
    error = float((np.abs(found - expected) / unit).max())
    assert error <= (float_bound if dtype == np.float32 else double_bound), error


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ends_of_the_range(dtype):
    hook = HOOKS[dtype]
    tiny, huge = float(np.finfo(dtype).smallest_subnormal), float(np.finfo(dtype).max)
    np.testing.assert_array_equal(
        hook("exp", [math.inf, -math.inf, 1e4, -1e4, 0.0, math.nan]), [math.inf, 0, math.inf, 0, 1, math.nan]
    )
    np.testing.assert_array_equal(hook("exp_nonpositive", [-math.inf, -1e4, 0.0, math.nan]), [0, 0, 1, math.nan])

    np.testing.assert_allclose(hook("log", [tiny, huge]), np.log([tiny, huge]), rtol=1e-6)


def test_an_unknown_function():
    with pytest.raises(ValueError, match="expected an elementary function"):
        _C.elementary_float("tan", [0.0])
