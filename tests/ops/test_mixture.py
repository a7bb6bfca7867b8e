"""The mixture operators against the float64 twin, at every instruction set."""

import functools

import pytest
import torch
from hypothesis import given, strategies as st
from threads import assert_same_for_any_number_of_threads

from latentcore import ops, reference
from latentcore.ops import gmm_e_step, gmm_log_prob, gmm_statistics
from latentcore.testing import assert_near, assert_near_in_half, relative_error

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
HALF = (torch.bfloat16, torch.float16)
# one of each: a single number, the plane, odd sizes that fill no register, several blocks of samples
SIZES = [(1, 1, 1), (300, 3, 2), (65, 5, 7), (513, 2, 40)]


def problem(N, K, D, covariance_type, *, batch=(), dtype=torch.float64, requires_grad=False):
    """x, weights, means, precisions_cholesky: values that `dtype` holds exactly, as float64 holds them too."""
    wide = functools.partial(torch.randn, dtype=torch.float64)
    factors = wide(*batch, K, D, D).mul(D**-0.5).triu(1) + torch.diag_embed(wide(*batch, K, D).abs() + 0.5)
    factors = {
        "full": factors,
        "tied": factors[..., 0, :, :],
        "diag": factors.diagonal(dim1=-2, dim2=-1),
        "spherical": factors[..., 0, 0],
    }[covariance_type]
    tensors = (2 * wide(*batch, N, D), wide(*batch, K).softmax(-1), wide(*batch, K, D), factors)
    return [t.to(dtype).contiguous().requires_grad_(requires_grad) for t in tensors]


def doubles(tensors):
    return [t.detach().double().requires_grad_(t.requires_grad) for t in tensors]


def outputs(module, tensors, covariance_type, sample_weight=None):
    """Everything that the three operators return."""
    x, weights, means, factors = tensors
    statistics = module.gmm_statistics(x, weights, means, factors, covariance_type, sample_weight=sample_weight)
    return (
        module.gmm_log_prob(x, means, factors, covariance_type),
        *module.gmm_e_step(x, weights, means, factors, covariance_type),
        module.gmm_responsibilities(x, weights, means, factors, covariance_type),
        *statistics,
    )


def gradients(module, tensors, covariance_type, sample_weight=None):
    """Gradients of a combination of all differentiable outputs, with the same coefficients for every dtype."""
    generator = torch.Generator().manual_seed(1)
    results = [r for r in outputs(module, tensors, covariance_type, sample_weight) if r.requires_grad]
    coefficients = [torch.randn(r.shape, generator=generator, dtype=torch.float64).to(r.dtype) for r in results]
    return torch.autograd.grad(results, tensors, coefficients)


@functools.cache
def known(function, sizes, covariance_type, dtype):
    """A problem, the samples' weights, and what `function`, outputs or gradients, gives in float64; never changed."""
    torch.manual_seed(1)
    tensors = problem(*sizes, covariance_type, batch=(2,), dtype=dtype, requires_grad=function is gradients)
    sample_weight = torch.rand(2, sizes[0]).to(dtype)
    return tensors, sample_weight, function(reference, doubles(tensors), covariance_type, sample_weight.double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, *HALF], ids=str)
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_equals_the_float64_twin(covariance_type, dtype, simd):
    for sizes in SIZES:
        tensors, sample_weight, expected = known(outputs, sizes, covariance_type, dtype)
        for a, e in zip(outputs(ops, tensors, covariance_type, sample_weight), expected, strict=True):
            assert a.dtype == reference.sum_dtype(dtype)
            assert a.is_contiguous()
            assert_near(a, e)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_gradients_equal_the_float64_twins(covariance_type, simd):
    for sizes in SIZES:
        tensors, sample_weight, expected = known(gradients, sizes, covariance_type, torch.float32)
        for a, e in zip(gradients(ops, tensors, covariance_type, sample_weight), expected, strict=True):
            assert_near(a, e)


@functools.cache
def known_in_half(covariance_type, dtype):
    torch.manual_seed(1)
    tensors = problem(300, 3, 5, covariance_type, dtype=dtype, requires_grad=True)
    return tensors, *(gradients(reference, t, covariance_type) for t in (tensors, doubles(tensors)))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_half_gradients_are_as_near_as_torchs(covariance_type, simd):
    for dtype in HALF:
        tensors, in_half, expected = known_in_half(covariance_type, dtype)
        for a, h, e in zip(gradients(ops, tensors, covariance_type), in_half, expected, strict=True):
            assert a.dtype == dtype
            assert_near_in_half(a, h, e)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_gradcheck(covariance_type):
    tensors = problem(5, 2, 3, covariance_type, requires_grad=True)
    sample_weight = torch.rand(5, dtype=torch.float64)

    def log_likelihood(*tensors):
        return 3 * gmm_statistics(*tensors, covariance_type, sample_weight=sample_weight).log_likelihood

    x, _, means, factors = tensors
    assert torch.autograd.gradcheck(lambda *t: gmm_log_prob(*t, covariance_type).cos(), (x, means, factors))
    assert torch.autograd.gradcheck(lambda *t: [r.cos() for r in gmm_e_step(*t, covariance_type)], tensors)
    assert torch.autograd.gradcheck(lambda *t: gmm_e_step(*t, covariance_type)[1].cos(), tensors)
    assert torch.autograd.gradcheck(log_likelihood, tensors)


def test_only_the_log_likelihood_of_statistics_is_differentiable():
    statistics = gmm_statistics(*problem(5, 2, 3, "full", requires_grad=True))
    assert [part.requires_grad for part in statistics] == [True, False, False, False]


# shapes depend on the type of covariance alone, dtypes on the samples' alone
@pytest.mark.parametrize(
    ("covariance_type", "dtype"),
    [("full", torch.float32), ("tied", torch.bfloat16), ("diag", torch.float32), ("spherical", torch.bfloat16)],
    ids=str,
)
def test_opcheck(covariance_type, dtype):
    x, weights, means, factors = problem(6, 3, 2, covariance_type, batch=(2,), dtype=dtype, requires_grad=True)
    sample_weight = torch.rand(2, 6).to(dtype)
    native = torch.ops.latentcore
    torch.library.opcheck(native.gmm_log_prob, (x, means, factors, covariance_type))
    torch.library.opcheck(native.gmm_e_step, (x, weights, means, factors, covariance_type))
    for weight in (None, sample_weight):
        torch.library.opcheck(native.gmm_statistics, (x, weights, means, factors, covariance_type, weight))
    constants = [t.detach() for t in (x, weights, means, factors)]
    grad, resp = torch.rand(2), torch.rand(2, 6, 3)
    torch.library.opcheck(native.gmm_responsibilities, (*constants, covariance_type))
    torch.library.opcheck(native.gmm_score, (grad, *constants, covariance_type, sample_weight))
    torch.library.opcheck(native.gmm_moments, (resp, constants[0], *constants[2:], covariance_type))
    _, *moments = native.gmm_moments(resp, constants[0], *constants[2:], covariance_type)
    arguments = (*moments, constants[1], constants[3], covariance_type)
    torch.library.opcheck(native.gmm_parameter_gradients, arguments)


# raised by torch itself when it first loads its compiler
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
def test_compiled_equals_eager():
    tensors = problem(40, 3, 2, "full", requires_grad=True)

    def values(x, weights, means, factors):
        log_prob = gmm_log_prob(x, means, factors)
        return log_prob, *gmm_e_step(x, weights, means, factors), *gmm_statistics(x, weights, means, factors)

    def gradient(results):
        return torch.autograd.grad(sum(r.sin().sum() for r in results if r.requires_grad), tensors)

    eager, compiled = values(*tensors), torch.compile(values, fullgraph=True)(*tensors)
    torch.testing.assert_close(compiled, eager)
    assert [r.requires_grad for r in compiled] == [r.requires_grad for r in eager]
    torch.testing.assert_close(gradient(compiled), gradient(eager))


@pytest.mark.alone
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_same_bits_for_any_number_of_threads(covariance_type):
    for sizes in ((60, 3, 2), (20_000, 4, 5)):
        tensors = problem(*sizes, covariance_type, dtype=torch.float32, requires_grad=True)
        assert_same_for_any_number_of_threads(
            lambda t=tensors: (*outputs(ops, t, covariance_type), *gradients(ops, t, covariance_type))
        )


def test_a_batch_is_its_parts():
    tensors = problem(300, 3, 2, "full", batch=(2, 3), dtype=torch.float32)
    together = outputs(ops, tensors, "full")
    for i in range(2):
        for j in range(3):
            alone = outputs(ops, [t[i, j] for t in tensors], "full")
            for a, b in zip(alone, together, strict=True):
                assert torch.equal(a, b[i, j])


def test_many_small_mixtures():
    tensors = problem(3, 2, 40, "full", batch=(3000,), dtype=torch.float32)
    for a, e in zip(outputs(ops, tensors, "full"), outputs(reference, doubles(tensors), "full"), strict=True):
        assert_near(a, e)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_non_contiguous(covariance_type):
    tensors = problem(33, 3, 5, covariance_type, batch=(2,), dtype=torch.float32)
    strided = [torch.stack([t, t], -1).transpose(0, 1).contiguous().transpose(0, 1)[..., 0] for t in tensors]
    assert not any(t.is_contiguous() for t in strided)
    for a, b in zip(outputs(ops, strided, covariance_type), outputs(ops, tensors, covariance_type), strict=True):
        assert torch.equal(a, b)


@given(
    N=st.integers(0, 600),
    K=st.integers(1, 9),
    D=st.integers(1, 40),
    batch=st.sampled_from([(), (1,), (2, 3), (0,)]),
    covariance_type=st.sampled_from(COVARIANCE_TYPES),
    seed=st.integers(0, 2**32),
)
def test_any_shape(N, K, D, batch, covariance_type, seed):
    torch.manual_seed(seed)
    tensors = problem(N, K, D, covariance_type, batch=batch, dtype=torch.float32, requires_grad=True)
    wide = doubles(tensors)
    # all of them together: a sum over the samples may cancel to any small number
    for function in (outputs, gradients):
        ours, in_float, expected = (
            torch.cat([result.detach().double().flatten() for result in function(module, arguments, covariance_type)])
            for module, arguments in ((ops, tensors), (reference, tensors), (reference, wide))
        )
        assert_near(ours, expected, tolerance=max(1e-5, 4 * relative_error(in_float, expected)))


def test_data_far_from_the_origin_keep_their_moments():
    x, weights, means, factors = problem(2000, 3, 4, "full", dtype=torch.float32)
    far = torch.tensor(1e4) * (1 + torch.rand(4))
    moved = [x + far, weights, means + far, factors]
    for a, e in zip(outputs(ops, moved, "full"), outputs(reference, doubles(moved), "full"), strict=True):
        assert_near(a, e)


def test_the_error_does_not_grow_with_the_number_of_samples():
    x, *parameters = problem(1, 2, 2, "full", dtype=torch.float32)
    count = 2_000_000
    one = gmm_statistics(x, *parameters)
    for part, single in zip(gmm_statistics(x.expand(count, 2), *parameters), one, strict=True):
        assert_near(part, single.double() * count, tolerance=3e-6)


@pytest.mark.parametrize("module", [ops, reference])
@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_sample_of_weight_0_counts_nowhere_whatever_it_is(module, covariance_type):
    x, *parameters = problem(20, 3, 2, covariance_type)
    weight = torch.rand(20, dtype=torch.float64)
    weight[[3, 7]] = 0
    expected = module.gmm_statistics(x, *parameters, covariance_type, sample_weight=weight)
    x[3], x[7] = float("nan"), float("inf")
    for a, e in zip(
        module.gmm_statistics(x, *parameters, covariance_type, sample_weight=weight), expected, strict=True
    ):
        assert_near(a, e)


def test_no_component_for_a_sample_out_of_reach():
    x = torch.tensor([[0.0, 0.0], [1e25, -1e25]])
    weights, means, factors = torch.tensor([0.5, 0.5]), torch.zeros(2, 2), torch.eye(2).expand(2, 2, 2)
    for actual, expected in zip(
        outputs(ops, (x, weights, means, factors), "full"),
        outputs(reference, (x, weights, means, factors), "full"),
        strict=True,
    ):
        assert not actual.isnan().any()
        torch.testing.assert_close(actual, expected)
    norm, log_resp = gmm_e_step(x, weights, means, factors)
    assert norm[1] == -torch.inf
    assert (log_resp[1] == -torch.inf).all()
    assert gmm_statistics(x, weights, means, factors, sample_weight=torch.tensor([1.0, 0.0])).log_likelihood == norm[0]


def test_a_component_of_weight_zero_has_no_samples():
    x, _, means, factors = problem(50, 2, 3, "diag", dtype=torch.float32)
    weights = torch.tensor([1.0, 0.0])
    statistics = gmm_statistics(x, weights, means, factors, "diag")
    assert_near(statistics.n_k, torch.tensor([50.0, 0.0]))
    assert_near(
        statistics.log_likelihood, gmm_log_prob(x.double(), means.double(), factors.double(), "diag")[:, 0].sum()
    )


def test_nan_is_not_hidden():
    x, weights, means, factors = problem(5, 2, 3, "full", dtype=torch.float32)
    x[2, 1] = torch.nan
    norm, _ = gmm_e_step(x, weights, means, factors)
    assert norm.isnan().tolist() == [False, False, True, False, False]
    statistics = gmm_statistics(x, weights, means, factors)
    assert statistics.log_likelihood.isnan()
    assert statistics.n_k.isnan().all()


def test_below_the_diagonal_nothing_is_read():
    x, weights, means, factors = problem(9, 2, 3, "full")
    noisy = factors + 1e6 * torch.ones(3, 3, dtype=torch.float64).tril(-1)
    clean, dirty = (outputs(ops, (x, weights, means, f), "full") for f in (factors, noisy))
    for a, b in zip(clean, dirty, strict=True):
        assert torch.equal(a, b)


X, W, M, P = torch.zeros(5, 2), torch.ones(3) / 3, torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([[0.0]], W, M, P), TypeError, "x: expected a torch.Tensor, got list"),
        ((X.int(), W, M, P), TypeError, "x: expected float32"),
        ((X[0], W, M, P), ValueError, r"x: expected shape \(..., N, D\) with D >= 1, got \(2,\)"),
        ((X[:, :0], W, M[:, :0], P), ValueError, "x: expected shape"),
        ((X, W, M.double(), P), TypeError, "means: expected the dtype of x"),
        ((X, W, M.to("meta"), P), ValueError, "means: expected the device of x"),
        ((X, W, M[:, :1], P), ValueError, r"means: expected shape \(K, 2\), got \(3, 1\)"),
        ((X, W, M.expand(4, 3, 2), P), ValueError, r"means: expected shape \(K, 2\), got \(4, 3, 2\)"),
        ((X, W[:0], M[:0], P[:0]), ValueError, "means: expected K >= 1 components, got 0"),
        ((X, W[:2], M, P), ValueError, r"weights: expected shape \(3,\), got \(2,\)"),
        ((X, W, M, P[0]), ValueError, r"precisions_cholesky: expected shape \(3, 2, 2\), got \(2, 2\)"),
        ((X, W, M, P, "tied"), ValueError, r"precisions_cholesky: expected shape \(2, 2\), got \(3, 2, 2\)"),
        ((X, W, M, P, "round"), ValueError, "covariance_type: expected one of 'full', 'tied', 'diag', 'spherical'"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    for operator in (gmm_e_step, gmm_statistics):
        with pytest.raises(error, match=message):
            operator(*arguments)
    if not message.startswith("weights"):
        with pytest.raises(error, match=message):
            gmm_log_prob(arguments[0], *arguments[2:])


def test_wrong_sample_weights():
    for weight, message in ((torch.ones(4), "shape"), (torch.ones(5, requires_grad=True), "requires no gradient")):
        with pytest.raises(ValueError, match=f"sample_weight: expected .*{message}"):
            gmm_statistics(X, W, M, P, sample_weight=weight)
    with pytest.raises(TypeError, match="sample_weight: expected the dtype of x"):
        gmm_statistics(X, W, M, P, sample_weight=torch.ones(5, dtype=torch.int64))


def test_direct_calls_of_the_native_operators_are_checked():
    native = torch.ops.latentcore
    for arguments in ((X[0], M, P, "full"), (X, M[:, :1], P, "full"), (X, M, P, "tied"), (X, M, P, "round")):
        with pytest.raises(RuntimeError, match="expected"):
            native.gmm_log_prob(*arguments)
    with pytest.raises(RuntimeError, match="resp: expected"):
        native.gmm_moments(torch.zeros(5, 2), X, M, P, "full")
    with pytest.raises(RuntimeError, match="sample_weight: expected"):
        native.gmm_statistics(X, W, M, P, "full", torch.ones(4))
    with pytest.raises(RuntimeError, match="grad: expected"):
        native.gmm_score(torch.zeros(2), X, W, M, P, "full", None)
