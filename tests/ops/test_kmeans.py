"""K-means against its twin."""

import itertools

import pytest
import torch
from threads import assert_same_for_any_number_of_threads

from latentcore import reference
from latentcore.ops import kmeans_potentials, kmeans_step, kmeans_update
from latentcore.testing import assert_near

at_every_level = pytest.mark.usefixtures("simd")
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
# samples, dimensions, centres: one of each, odd ones, more dimensions than 32 and than 128
SIZES = [(1, 1, 1), (700, 2, 3), (300, 7, 33), (90, 40, 9), (70, 150, 4)]


def problem(N, D, K, batch=(), dtype=torch.float32):
    return torch.randn(N, D).to(dtype), torch.randn(*batch, K, D).to(dtype)


def near(actual, expected):
    # potentials are float64, and no more exact than the distances
    wide = all(a.dtype == torch.float64 for a in actual if a.is_floating_point())
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype == e.dtype
        if a.is_floating_point():
            assert_near(a, e.double(), tolerance=1e-12 if wide else 1e-5)
        else:
            assert torch.equal(a, e)


@at_every_level
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_step_equals_the_twin(dtype):
    for sizes, batch, weighted in itertools.product(SIZES, [(), (2, 3)], [False, True]):
        x, centers = problem(*sizes, batch, dtype)
        weight = torch.rand(sizes[0]).to(dtype) if weighted else None
        near(kmeans_step(x, centers, sample_weight=weight), reference.kmeans_step(x, centers, sample_weight=weight))


@at_every_level
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_potentials_and_update_equal_the_twins(dtype):
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5  # sums in float64 of numbers that are less exact
    for sizes, most, weighted in itertools.product(SIZES, [1, torch.inf], [False, True]):
        x, points = problem(*sizes, dtype=dtype)
        weight = torch.rand(sizes[0]).to(dtype) if weighted else None
        closest = most * sizes[1] * torch.rand(sizes[0], dtype=reference.sum_dtype(dtype))
        expected = reference.kmeans_potentials(x, points, closest, sample_weight=weight)
        assert_near(kmeans_potentials(x, points, closest, sample_weight=weight), expected, tolerance=tolerance)
        ours, theirs = closest.clone(), closest.clone()
        potential = kmeans_update(ours, x, points[:1], sample_weight=weight)
        theirs_potential = reference.kmeans_update(theirs, x, points[:1], sample_weight=weight)
        assert_near(potential, theirs_potential, tolerance=tolerance)
        assert_near(ours, theirs.double())
        assert_near(potential, expected[:1], tolerance=tolerance)


@pytest.mark.alone
def test_same_bits_for_any_number_of_threads():
    # one chunk on the calling thread; a chunk for every block; fewer chunks than blocks
    for sizes in ((70, 2, 3), (5000, 7, 9), (20_000, 2, 3)):
        x, centers = problem(*sizes, (2,))
        weight, closest = torch.rand(sizes[0]), torch.rand(sizes[0])

        def everything(x=x, centers=centers, weight=weight, closest=closest):
            own = closest.clone()
            potential = kmeans_update(own, x, centers[0, :1], sample_weight=weight)
            potentials = kmeans_potentials(x, centers[0], closest, sample_weight=weight)
            return (*kmeans_step(x, centers, sample_weight=weight), potentials, potential, own)

        assert_same_for_any_number_of_threads(everything)


@at_every_level
@pytest.mark.parametrize(("N", "batch"), [(0, ()), (0, (2,)), (30, (0,))])
def test_nothing(N, batch):
    x, centers = problem(N, 3, 2, batch)
    near(kmeans_step(x, centers), reference.kmeans_step(x, centers))
    if not batch:
        assert float(kmeans_update(x[:, 0].clone(), x, centers[:1])) == 0
        assert kmeans_potentials(x, centers, x[:, 0].clone()).tolist() == [0, 0]


@at_every_level
def test_sums_over_many_samples_keep_their_digits():
    """Far from the origin, over several chunks."""
    x, centers = torch.randn(20_000, 3) + 1e4, torch.randn(4, 3) + 1e4
    expected = reference.kmeans_step(x.double(), centers.double())
    found = kmeans_step(x, centers)
    assert (found.labels == expected.labels).float().mean() > 0.999
    assert_near(found.inertia, expected.inertia)
    assert_near(found.counts, expected.counts, tolerance=1e-3)


@at_every_level
def test_of_centres_equally_near_the_first_is_taken():
    x = torch.zeros(40, 2)
    labels = kmeans_step(x, torch.tensor([[1.0, 0], [0, 1], [0, -1], [-1, 0]])).labels
    assert bool((labels == 0).all())


@at_every_level
def test_lloyds_algorithm_never_raises_the_inertia():
    x, centers = problem(500, 4, 6, dtype=torch.float64)
    inertias = []
    for _ in range(10):
        step = kmeans_step(x, centers)
        inertias.append(float(step.inertia))
        centers = centers + step.shifts / step.counts.clamp_min(1).unsqueeze(-1)
    assert sorted(inertias, reverse=True) == inertias


@pytest.mark.usefixtures("backend")
def test_opcheck_and_compile():
    x, centers = problem(50, 3, 4, (2,))
    torch.library.opcheck(torch.ops.latentcore.kmeans_step.default, (x, centers, None))
    closest = torch.full((50,), 3.0)
    torch.library.opcheck(torch.ops.latentcore.kmeans_potentials.default, (x, centers[0], closest, None))
    torch.library.opcheck(torch.ops.latentcore.kmeans_update.default, (closest, x, centers[0, :1], None))
    near(torch.compile(kmeans_step, fullgraph=True)(x, centers), kmeans_step(x, centers))
    compiled = torch.compile(kmeans_potentials, fullgraph=True)(x, centers[0], closest)
    assert torch.equal(compiled, kmeans_potentials(x, centers[0], closest))


@pytest.mark.parametrize(
    ("x", "centers", "options", "error", "message"),
    [
        (torch.zeros(3), torch.zeros(1, 1), {}, ValueError, r"x: expected shape \(N, D\)"),
        (torch.zeros(3, 2), torch.zeros(2), {}, ValueError, r"centers: expected shape \(\.\.\., K, 2\)"),
        (torch.zeros(3, 2), torch.zeros(1, 3), {}, ValueError, r"centers: expected shape \(\.\.\., K, 2\)"),
        (torch.zeros(3, 2), torch.zeros(0, 2), {}, ValueError, r"centers: expected shape \(\.\.\., K, 2\)"),
        (torch.zeros(3, 2), torch.zeros(1, 2).double(), {}, TypeError, "centers: expected the dtype of x"),
        (torch.zeros(3, 2).int(), torch.zeros(1, 2), {}, TypeError, "x: expected float32"),
        (
            torch.zeros(3, 2),
            torch.zeros(1, 2),
            {"sample_weight": torch.zeros(2)},
            ValueError,
            "sample_weight: expected",
        ),
    ],
)
def test_bad_input(x, centers, options, error, message):
    with pytest.raises(error, match=message):
        kmeans_step(x, centers, **options)


def test_bad_closest():
    x, points = problem(5, 2, 1)
    with pytest.raises(ValueError, match=r"closest: expected shape \(5,\)"):
        kmeans_potentials(x, points, torch.zeros(4))
    with pytest.raises(TypeError, match="closest: expected float32"):
        kmeans_update(torch.zeros(5).double(), x, points)
    with pytest.raises(ValueError, match="closest: expected a contiguous tensor"):
        kmeans_update(torch.zeros(10)[::2], x, points)
    with pytest.raises(ValueError, match=r"points: expected shape \(L, 2\)"):
        kmeans_potentials(x, points[None], torch.zeros(5))
    with pytest.raises(ValueError, match=r"point: expected shape \(1, 2\)"):
        kmeans_update(torch.zeros(5), x, points.repeat(2, 1))
