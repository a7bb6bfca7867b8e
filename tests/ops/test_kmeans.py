"""K-means against its twin."""

import pytest
import torch

from latentcore import ops, reference
from latentcore.ops import kmeans_distances, kmeans_step
from latentcore.testing import assert_near

pytestmark = pytest.mark.usefixtures("simd")
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


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("batch", [(), (2, 3)], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_step_equals_the_twin(sizes, batch, dtype, weighted, threads):
    x, centers = problem(*sizes, batch, dtype)
    weight = torch.rand(sizes[0]).to(dtype) if weighted else None
    near(kmeans_step(x, centers, sample_weight=weight), reference.kmeans_step(x, centers, sample_weight=weight))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("given", ["nothing", "closest", "weight", "both"])
def test_distances_equal_the_twin(sizes, dtype, given):
    x, points = problem(*sizes, dtype=dtype)
    options = {}
    if given in ("closest", "both"):
        options["closest"] = sizes[1] * torch.rand(sizes[0], dtype=reference.sum_dtype(dtype))
    if given in ("weight", "both"):
        options["sample_weight"] = torch.rand(sizes[0]).to(dtype)
    near(kmeans_distances(x, points, **options), reference.kmeans_distances(x, points, **options))


@pytest.mark.parametrize(("N", "batch"), [(0, ()), (0, (2,)), (30, (0,))])
def test_nothing(N, batch):
    x, centers = problem(N, 3, 2, batch)
    near(kmeans_step(x, centers), reference.kmeans_step(x, centers))
    if not batch:
        near(kmeans_distances(x, centers), reference.kmeans_distances(x, centers))


def test_sums_over_many_samples_keep_their_digits():
    """Far from the origin, over several chunks."""
    x, centers = torch.randn(20_000, 3) + 1e4, torch.randn(4, 3) + 1e4
    expected = reference.kmeans_step(x.double(), centers.double())
    found = kmeans_step(x, centers)
    assert (found.labels == expected.labels).float().mean() > 0.999
    assert_near(found.inertia, expected.inertia)
    assert_near(found.counts, expected.counts, tolerance=1e-3)


def test_of_centres_equally_near_the_first_is_taken():
    x = torch.zeros(40, 2)
    labels = kmeans_step(x, torch.tensor([[1.0, 0], [0, 1], [0, -1], [-1, 0]])).labels
    assert bool((labels == 0).all())


def test_lloyds_algorithm_never_raises_the_inertia():
    x, centers = problem(500, 4, 6, dtype=torch.float64)
    inertias = []
    for _ in range(10):
        step = kmeans_step(x, centers)
        inertias.append(float(step.inertia))
        centers = centers + step.shifts / step.counts.clamp_min(1).unsqueeze(-1)
    assert sorted(inertias, reverse=True) == inertias


def test_opcheck_and_compile():
    x, centers = problem(50, 3, 4, (2,))
    torch.library.opcheck(torch.ops.latentcore.kmeans_step.default, (x, centers, None))
    torch.library.opcheck(torch.ops.latentcore.kmeans_distances.default, (x, centers[0], None, None))
    for function in (kmeans_step, lambda x, centers: kmeans_distances(x, centers[0])):
        near(torch.compile(function, fullgraph=True)(x, centers), function(x, centers))


@pytest.mark.parametrize("module", [ops, reference])
def test_nothing_is_differentiable(module):
    x, centers = (t.requires_grad_() for t in problem(20, 2, 3))
    with torch.no_grad():
        assert not module.kmeans_step(x, centers).inertia.requires_grad


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
        kmeans_distances(x, points, closest=torch.zeros(4))
    with pytest.raises(TypeError, match="closest: expected float32"):
        kmeans_distances(x, points, closest=torch.zeros(5).double())
    with pytest.raises(ValueError, match=r"points: expected shape \(L, 2\)"):
        kmeans_distances(x, points[None])
