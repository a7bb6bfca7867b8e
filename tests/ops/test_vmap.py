"""torch.func in eager mode: vmap, grad, vjp and jacrev, in any order, reach the native kernels."""

import random

import pytest
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from latentcore import _native, ops, reference
from latentcore.ops import _folds, _registration
from latentcore.reference import MixtureStatistics

KINDS = ("full", "tied", "diag", "spherical")
V = 3


def normal(*shape):
    return torch.randn(shape, dtype=torch.float64)


def positive(*shape):
    return torch.rand(shape, dtype=torch.float64) + 0.5


def mixture_cases(kind, batch):
    N, K, D = random.randint(1, 6), random.randint(1, 4), random.randint(1, 4)
    factors = {"full": (K, D, D), "tied": (D, D), "diag": (K, D), "spherical": (K,)}[kind]
    x, weights, means, factors = (
        normal(*batch, N, D), positive(*batch, K), normal(*batch, K, D), positive(*batch, *factors)
    )  # fmt: skip
    name = f"{kind}-{len(batch)}"

    def statistics(*tensors):
        return ops.gmm_statistics(*tensors[:4], kind, sample_weight=tensors[4])

    return {
        f"gmm_log_prob-{name}": (lambda *t: ops.gmm_log_prob(*t, kind), (x, means, factors)),
        f"gmm_e_step-{name}": (lambda *t: ops.gmm_e_step(*t, kind), (x, weights, means, factors)),
        f"gmm_responsibilities-{name}": (lambda *t: ops.gmm_responsibilities(*t, kind), (x, weights, means, factors)),
        f"gmm_statistics-{name}": (lambda *t: ops.gmm_statistics(*t, kind), (x, weights, means, factors)),
        f"weighted-{name}": (statistics, (x, weights, means, factors, positive(*batch, N))),
    }


def image_cases():
    N, A, C, H, W = (random.randint(1, most) for most in (2, 2, 2, 4, 4))
    images, angle, several = normal(N, C, H, W), 360 * positive(N), 360 * positive(N, A)
    matrix = torch.eye(2, 3, dtype=torch.float64) + 0.3 * normal(N, 2, 3)
    pixels = torch.randint(0, 256, (N, C, H, W), dtype=torch.uint8)
    return {
        "rotate": (ops.rotate, (images, angle)),
        "rotate by several": (lambda i, a, c: ops.rotate(i, a, center=c, fill=0.5), (images, several, normal(N, 2))),
        "rotate one image": (ops.rotate, (images[0], angle[0])),
        "nearest": (lambda i, a: ops.rotate(i, a, interpolation="nearest"), (images, angle)),
        "bytes": (lambda i, a: ops.rotate(i, a, dtype=torch.float64), (pixels, several)),
        "affine": (
            lambda i, a, s, t: ops.affine(i, angle=a, scale=s, translate=t),
            (images, angle, positive(N, 2), normal(N, 2)),
        ),
        "matrix": (lambda i, m: ops.affine(i, matrix=m), (images, matrix)),
    }


def latent_cases():
    B, L, P = (random.randint(1, 5) for _ in range(3))
    mu, logvar, logits, target = normal(B, L), normal(B, L), normal(B, P), 0.5 * positive(B, P)
    return {
        "reparameterize_kl": (lambda *t: ops.reparameterize_kl(*t, seed=3), (mu, logvar)),
        "vae_loss": (lambda t, x, *rest: ops.vae_loss(x, t, *rest), (target, logits, mu, logvar)),
    }


def constant_cases():
    """What has no derivative."""
    N, K, D = random.randint(3, 8), random.randint(1, 3), random.randint(1, 3)
    x, weights, means, spread = normal(N, D), positive(K), normal(K, D), positive(K, D)
    weights, closest = weights / weights.sum(), 9 * positive(N)

    def m_step(n_k, first, second, means, mean_weight):
        statistics = MixtureStatistics(n_k, n_k, first, second)
        return ops.gmm_m_step(statistics, means, "diag", mean_weight=mean_weight)

    def em(x, *parameters):
        *parameters, sample_weight = parameters
        return ops.gmm_em(x, *parameters, "diag", max_iter=4, reg_covar=0.1, sample_weight=sample_weight)

    def update(closest, x, point):
        closest = closest.clone()
        return ops.kmeans_update(closest, x, point), closest

    return {
        "kmeans_step": (lambda x, c, w: ops.kmeans_step(x, c, sample_weight=w), (x, means, positive(N))),
        "kmeans_step without weights": (ops.kmeans_step, (x, means)),
        "kmeans_potentials": (ops.kmeans_potentials, (x, means, closest)),
        "kmeans_update": (update, (closest, x, means[:1])),
        "gmm_m_step": (m_step, (positive(K), 0.1 * normal(K, D), 1 + positive(K, D), means, positive())),
        "gmm_em": (em, (x, weights, means, spread, positive(N))),
    }


def make_cases():
    random.seed(torch.initial_seed())
    mixtures = [mixture_cases(kind, ()) for kind in KINDS] + [
        mixture_cases(kind, (2,)) for kind in ("tied", "spherical")
    ]
    smooth = {name: case for part in (*mixtures, image_cases(), latent_cases()) for name, case in part.items()}
    return smooth, constant_cases()


SMOOTH, CONSTANT = make_cases()
# of each operator one, for what is the same in all of them
FEW = ["gmm_log_prob-full-0", "gmm_e_step-diag-0", "gmm_responsibilities-tied-0", "gmm_statistics-spherical-1",
       "weighted-full-0", "rotate", "rotate by several", "bytes", "affine"]  # fmt: skip
DIFFERENT = {"reparameterize_kl", "vae_loss"}  # the twins serve under torch.func


def cases_for(kernels):
    """All operators with sizes drawn by chance, others for each set of kernels."""
    torch.manual_seed(sum(kernels.encode()))
    smooth, constant = make_cases()
    return smooth | constant


def results_of(value):
    return [value] if torch.is_tensor(value) else list(value)


def total(function):
    """A curved function of all results that have derivatives."""

    def summed(*tensors):
        results = results_of(function(*tensors))
        if isinstance(results, list) and len(results) == 4:  # of statistics the first
            results = results[:1]
        return sum((1 + i) * r.sin().sum() for i, r in enumerate(results) if r.is_floating_point())

    return summed


def differentiable(name, tensors):
    places = range(4) if name.startswith("weighted") else range(len(tensors))
    places = [place for place in places if tensors[place].is_floating_point()]
    return places[1:] if name == "vae_loss" else places


def stacked(tensors, dims, size=V):
    """Several of each tensor at its place, with other numbers in them."""
    made = []
    for tensor, dim in zip(tensors, dims, strict=True):
        if dim is None:
            made.append(tensor)
        elif tensor.dtype == torch.uint8:
            made.append(torch.stack([tensor // (1 + i) for i in range(size)], dim))
        else:
            made.append(torch.stack([tensor * (1 + 0.1 * i) for i in range(size)], min(dim, tensor.dim())))
    return made


def patterns(tensors):
    """Where the mapped dimension is: in front, second, in one tensor alone, in all but one."""
    count = len(tensors)
    yield (0,) * count
    yield tuple(min(1, t.dim()) for t in tensors)
    for place in range(count):
        yield tuple(min(place % 3, t.dim()) if i == place else None for i, t in enumerate(tensors))
        if count > 1:
            yield tuple(None if i == place else (i + place) % 2 * min(1, t.dim()) for i, t in enumerate(tensors))


def row(tensors, dims, index):
    return [t if dim is None else t.select(dim, index) for t, dim in zip(tensors, dims, strict=True)]


def looped(function, tensors, dims, size=V):
    """What vmap is to find."""
    rows = [results_of(function(*row(tensors, dims, index))) for index in range(size)]
    return [torch.stack(parts) for parts in zip(*rows, strict=True)]


def assert_all_close(found, expected):
    for one, other in zip(results_of(found), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11, equal_nan=True)


@pytest.mark.parametrize("name", [*SMOOTH, *CONSTANT])
def test_values_are_those_of_a_loop(name, simd):
    function, tensors = cases_for(simd)[name]
    for dims in [(0, 0, 0), (0, None, None)] if name == "kmeans_update" else patterns(tensors):
        given = stacked(tensors, dims)
        assert_all_close(torch.vmap(function, dims)(*given), looped(function, given, dims))


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_are_those_of_a_loop(name, backend):
    function, tensors = cases_for(backend)[name]
    value, places = total(function), differentiable(name, tensors)
    one_place = places[len(places) // 2]

    def slopes(*row):
        leaves = [t.detach().clone().requires_grad_(i in places) for i, t in enumerate(row)]
        return torch.autograd.grad(value(*leaves), [leaves[place] for place in places], materialize_grads=True)

    for dims in patterns(tensors):
        given = stacked(tensors, dims)
        expected = looped(slopes, given, dims)
        assert_all_close(torch.vmap(torch.func.grad(value, tuple(places)), dims)(*given), expected)
        assert_all_close(
            torch.vmap(torch.func.grad(value, one_place), dims)(*given), [expected[places.index(one_place)]]
        )


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_through_a_map_are_those_through_a_loop(name):
    """By grad(vmap(...)), and by backward() from outside."""
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)
    for dims in patterns(tensors):
        given = stacked(tensors, dims)

        def mapped(*values, dims=dims):
            return torch.vmap(total(function), dims)(*values).square().sum()

        def in_a_loop(*values, dims=dims):
            return looped(total(function), values, dims)[0].square().sum()

        leaves = [t.clone().requires_grad_(i in places) for i, t in enumerate(given)]
        expected = torch.autograd.grad(in_a_loop(*leaves), [leaves[p] for p in places], materialize_grads=True)
        assert_all_close(torch.func.grad(mapped, tuple(places))(*given), expected)
        mapped(*leaves).backward()
        found = [leaves[p].grad if leaves[p].grad is not None else torch.zeros_like(leaves[p]) for p in places]
        assert_all_close(found, expected)


@pytest.mark.parametrize("name", FEW)
def test_maps_of_maps(name, backend):
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)
    gradient = torch.func.grad(total(function), tuple(places))
    count = len(tensors)
    for inner, outer in (
        ((0,) * count, (0,) * count),
        (tuple(i % 2 or None for i in range(count)), (0,) * count),
        ((0, *(None,) * (count - 1)), (None, *(0,) * (count - 1))),
        ((None, *(0,) * (count - 1)), (1, *(None,) * (count - 1))),
    ):
        given = stacked(stacked(tensors, inner), outer, 2)
        for one in (function, gradient):
            found = torch.vmap(torch.vmap(one, inner), outer)(*given)
            assert_all_close(found, looped(lambda *t, one=one, inner=inner: looped(one, t, inner), given, outer, 2))


@pytest.mark.parametrize("name", FEW)
def test_jacobians(name, backend):
    function, tensors = SMOOTH[name]

    def first_result(*values):
        return results_of(function(*values))[0]

    for place in differentiable(name, tensors):
        found = torch.func.jacrev(first_result, place)(*tensors)

        def of_one(value, place=place):
            return first_result(*tensors[:place], value, *tensors[place + 1 :])

        assert_all_close(found, [torch.autograd.functional.jacobian(of_one, tensors[place])])
        assert_all_close(torch.func.jacrev(first_result, place, chunk_size=2)(*tensors), [found])


@pytest.mark.parametrize("name", FEW)
def test_second_derivatives(name):
    function, tensors = SMOOTH[name]
    value, places = total(function), differentiable(name, tensors)

    def of_some(*chosen):
        by_place = dict(zip(places, chosen, strict=True))
        return value(*(by_place.get(i, t) for i, t in enumerate(tensors)))

    chosen = tuple(tensors[place] for place in places)
    arguments = tuple(range(len(places)))
    expected = torch.autograd.functional.hessian(of_some, chosen)
    jacrev, vmap = torch.func.jacrev, torch.vmap
    found = jacrev(jacrev(of_some, arguments), arguments)(*chosen)
    of_several = vmap(jacrev(jacrev(of_some, arguments), arguments))(*(t.expand(2, *t.shape) for t in chosen))
    forward = torch.func.hessian(of_some, arguments)(*chosen)
    for i, blocks in enumerate(expected):
        assert_all_close(found[i], blocks)
        assert_all_close(forward[i], blocks)
        assert_all_close([block[1] for block in of_several[i]], blocks)


@pytest.mark.parametrize("name", FEW)
def test_gradients_of_mapped_gradients(name):
    """As in a penalty on gradients of each sample: from outside, of what torch.func has found."""
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)
    dims = (0,) * len(tensors)
    leaves = [t.requires_grad_(i in places) for i, t in enumerate(stacked(tensors, dims))]
    chosen = [leaves[place] for place in places]

    def penalty(slopes):
        return sum(slope.square().sum() for slope in slopes)

    def in_a_loop(*row):
        return torch.autograd.grad(
            total(function)(*row), [row[place] for place in places], create_graph=True, materialize_grads=True
        )

    expected = torch.autograd.grad(penalty(looped(in_a_loop, leaves, dims)), chosen, materialize_grads=True)
    found = penalty(torch.vmap(torch.func.grad(total(function), tuple(places)))(*leaves))
    assert_all_close(torch.autograd.grad(found, chosen, materialize_grads=True), expected)


class Calls(TorchDispatchMode):
    """The operators of latentcore that are called, in order."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.namespace == "latentcore" and operator.name() != "latentcore::gmm_parameter_gradients":
            self.names.append(operator.name().removeprefix("latentcore::"))
        return operator(*args, **(kwargs or {}))


BACKWARD = {"gmm_statistics": "gmm_score", "warp": "warp_backward"}


def operator_of(name):
    if name.startswith(("gmm", "weighted")):
        return "gmm_statistics" if name.startswith("weighted") else name.partition("-")[0]
    return "warp"


@pytest.fixture
def no_twins(monkeypatch):
    def refused(*arguments, **options):
        raise AssertionError("a twin")

    for name in ("warp", "gmm_log_prob", "gmm_e_step", "gmm_responsibilities", "gmm_statistics", "gmm_em", "gmm_m_step",
                 "kmeans_step", "kmeans_potentials"):  # fmt: skip
        if name != "gmm_em":  # the CPU's is the twin's loop over the other operators
            monkeypatch.setattr(reference, name, refused)


@pytest.mark.usefixtures("no_twins")
@pytest.mark.parametrize("name", [name for name in SMOOTH if name not in DIFFERENT])
def test_one_call_of_a_kernel_does_it(name):
    function, tensors = SMOOTH[name]
    operator, places = operator_of(name), tuple(differentiable(name, tensors))
    backward = BACKWARD.get(operator, "gmm_moments")
    for dims in patterns(tensors):
        given = stacked(tensors, dims)
        with Calls() as calls:
            torch.vmap(function, dims)(*given)
        assert calls.names == [operator]
        with Calls() as calls:
            torch.vmap(torch.func.grad(total(function), places), dims)(*given)
        assert calls.names == [operator, backward]
    with Calls() as calls:
        torch.func.jacrev(lambda *t: results_of(function(*t))[0], places)(*tensors)
    assert calls.names == [operator, backward]


@pytest.mark.usefixtures("no_twins")
@pytest.mark.parametrize(
    ("name", "mapped"),
    [("kmeans_step", [1]), ("kmeans_potentials", [1]), ("gmm_m_step", [0, 1, 2, 3, 4]), ("gmm_m_step", [2])],
)
def test_one_call_does_without_a_derivative_too(name, mapped):
    function, tensors = CONSTANT[name]
    dims = tuple(0 if place in mapped else None for place in range(len(tensors)))
    with Calls() as calls:
        torch.vmap(function, dims)(*stacked(tensors, dims))
    assert calls.names == [name]


def test_fits_of_many_mixtures_are_one_fit():
    function, tensors = CONSTANT["gmm_em"]
    dims = (0,) * len(tensors)
    with Calls() as calls:
        torch.vmap(function, dims)(*stacked(tensors, dims))
    assert len(calls.names) <= 2 * 4
    assert set(calls.names) <= {"gmm_statistics", "gmm_m_step"}


def test_samples_that_are_shared_are_not_copied(monkeypatch):
    x, means = normal(50, 2), normal(V, 4, 2)
    seen = []
    with Calls() as calls:
        original = calls.__torch_dispatch__
        monkeypatch.setattr(
            Calls, "__torch_dispatch__", lambda self, op, types, args=(), kwargs=None: (
                seen.append(args[0]), original(op, types, args, kwargs))[1],
        )  # fmt: skip
        torch.vmap(lambda m: ops.gmm_log_prob(x, m, torch.ones(4).double(), "spherical"))(means)
    shared = [t for t in seen if torch.is_tensor(t) and t.shape == (V, 50, 2)]
    assert shared
    assert all(t.stride(0) == 0 for t in shared)


def test_images_that_are_shared_are_read_once():
    images, angles = normal(2, 1, 4, 4), 360 * positive(V, 2)
    expected = looped(ops.rotate, (images, angles), (None, 0))
    assert_all_close(torch.vmap(ops.rotate, (None, 0))(images, angles), expected)
    assert_all_close(ops.rotate(images, angles.mT).transpose(0, 1), expected)


@pytest.mark.parametrize("name", [name for name in SMOOTH | CONSTANT if name not in DIFFERENT])
def test_a_map_over_nothing(name):
    function, tensors = (SMOOTH | CONSTANT)[name]
    found = torch.vmap(function)(*(t.new_zeros((0, *t.shape)) for t in tensors))
    expected = results_of(function(*tensors))
    assert [(r.shape, r.dtype) for r in results_of(found)] == [((0, *r.shape), r.dtype) for r in expected]


@pytest.mark.parametrize("name", FEW)
def test_the_rule_of_any_operator(name, monkeypatch):
    """It gives what the operator's own gives."""
    function, tensors = SMOOTH[name]
    value, places = total(function), tuple(differentiable(name, tensors))
    dims = (0, *(None,) * (len(tensors) - 2), 1)
    given = stacked(tensors, dims)
    found = []
    for _ in range(2):
        mapped = torch.vmap(function, dims)(*given)
        found.append([*results_of(mapped), *torch.vmap(torch.func.grad(value, places), dims)(*given)])
        monkeypatch.setattr(_registration._transformed, "_map", slow_map(_registration._transformed._map))
    assert_all_close(*found)


def slow_map(original):
    def mapped(level, call, fold, inputs, needed=None):
        return original(level, call, _folds.one_by_one, inputs, needed)

    return mapped


def test_forward_mode_over_a_derivative_of_torch_func():
    """The kernel has found the values, and the twin finds what the tangents want."""
    for name in FEW:
        function, tensors = SMOOTH[name]
        place = differentiable(name, tensors)[0]

        def of_one(value, place=place, function=function, tensors=tensors):
            return total(function)(*tensors[:place], value, *tensors[place + 1 :])

        value, pull = torch.func.vjp(of_one, tensors[place])
        direction = torch.rand_like(value)
        slope, tangent = torch.func.jvp(lambda g, pull=pull: pull(g)[0], (direction,), (torch.ones_like(value),))
        assert_all_close(tangent * direction, [slope])


def test_a_derivative_of_plain_autograd_is_mapped():
    """Over directions, of a graph that was made before."""
    x = normal(5, 2).requires_grad_()
    norm = ops.gmm_e_step(x, torch.tensor([0.4, 0.6]).double(), normal(2, 2), positive(2), "spherical")[0]
    with Calls() as calls:
        rows = torch.vmap(lambda g: torch.autograd.grad(norm, x, g, retain_graph=True)[0])(torch.eye(5).double())
    assert calls.names == ["gmm_moments"]
    expected = [torch.autograd.grad(norm, x, g, retain_graph=True)[0] for g in torch.eye(5).double()]
    assert_all_close(rows, [torch.stack(expected)])


def test_torch_func_sees_what_no_grad_hides():
    x, means, spread = normal(4, 2), normal(2, 2), positive(2)

    def value(t):
        with torch.no_grad():
            hidden = ops.gmm_log_prob(t, means, spread, "spherical").sum()
        return hidden * t.sum()

    expected = ops.gmm_log_prob(x, means, spread, "spherical").sum().expand(4, 2)
    assert_all_close(torch.func.grad(value)(x), [expected])
    leaf = x.clone().requires_grad_()
    with torch.no_grad():
        slope = torch.func.grad(lambda t: ops.gmm_log_prob(t, means, spread, "spherical").sum())(leaf)
    assert not slope.requires_grad


def test_derivatives_after_the_fact():
    """What `vjp` returns is called after its level has ended, more than once, under a map or not."""
    for name in FEW:
        function, tensors = SMOOTH[name]
        places = differentiable(name, tensors)
        chosen = [tensors[place] for place in places]

        def of_some(*values, places=places, function=function, tensors=tensors):
            by_place = dict(zip(places, values, strict=True))
            return total(function)(*(by_place.get(i, t) for i, t in enumerate(tensors)))

        value, pull = torch.func.vjp(of_some, *chosen)
        first, second = pull(torch.ones_like(value)), pull(torch.ones_like(value))
        many = torch.vmap(pull)(torch.ones(2, dtype=value.dtype))
        for one, other, several in zip(first, second, many, strict=True):
            assert torch.equal(one, other)
            assert_all_close(several[1], [one])


def test_sample_weights_without_a_gradient_are_refused_where_a_map_hides_it():
    x, weights, means, spread, counts = normal(V, 4, 2), positive(2), normal(2, 2), positive(2), positive(V, 4)

    def value(counts):
        return torch.vmap(
            lambda x, c: ops.gmm_statistics(x, weights, means, spread, "spherical", sample_weight=c).log_likelihood
        )(x, counts).sum()

    for attempt in (lambda: torch.func.grad(value)(counts), lambda: value(counts.clone().requires_grad_())):
        with pytest.raises(ValueError, match="sample_weight: expected a tensor that requires no gradient"):
            attempt()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_narrow_types(dtype, backend):
    x, images = torch.randn(V, 6, 2).to(dtype), torch.rand(V, 2, 1, 5, 5).to(dtype)
    means, factors, angle = torch.randn(3, 2).to(dtype), torch.ones(3).to(dtype), torch.rand(V, 2) * 360
    for function, tensors in (
        (lambda x: ops.gmm_log_prob(x, means, factors, "spherical"), (x,)),
        (ops.rotate, (images, angle)),
    ):
        dims = (0,) * len(tensors)
        assert torch.equal(torch.vmap(function)(*tensors), looped(function, tensors, dims)[0])
        gradient = torch.func.grad(lambda *t, function=function: function(*t).float().square().sum())
        found = torch.vmap(gradient)(*tensors)
        assert found.dtype == dtype
        torch.testing.assert_close(found, looped(gradient, tensors, dims)[0])


def test_autocast_is_off_in_derivatives():
    x, means, factors = torch.randn(V, 6, 2), torch.randn(3, 2), torch.eye(2).repeat(3, 1, 1)
    gradient = torch.vmap(torch.func.grad(lambda t: ops.gmm_log_prob(t, means, factors).square().sum()))
    expected = gradient(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gradient(x), expected)


def test_which_code_serves():
    x = torch.zeros(1)
    seen = {}

    def asked(t, name):
        seen[name] = _native.has_kernel("gmm_log_prob", x), _native.has_kernel("vae_loss", x)
        return t.sum()

    torch.vmap(lambda t: asked(t, "vmap"))(torch.ones(2, 1))
    torch.func.grad(lambda t: asked(t, "grad"))(x)
    torch.func.jvp(lambda t: asked(t, "jvp"), (x,), (x,))
    torch.vmap(torch.func.hessian(lambda t: asked(t, "hessian")))(torch.ones(2, 1))
    torch.func.functionalize(lambda t: asked(t, "functionalize"))(x)
    with forward_ad.dual_level():
        asked(x, "dual")
    assert seen.pop("vmap") == seen.pop("grad") == ("gmm_log_prob" in _native.FOLDED, "vae_loss" in _native.FOLDED)
    assert set(seen.values()) == {(False, False)}
    assert len(seen) == 4
