"""torch.func in eager mode reaches the native kernels, in one call, and what else it meets."""

import pytest
import torch
from mapping import (
    CONSTANT,
    FEW,
    SMOOTH,
    Calls,
    V,
    assert_all_close,
    differentiable,
    looped,
    normal,
    patterns,
    positive,
    results_of,
    stacked,
    total,
)
from torch.autograd import forward_ad

from latentcore import _native, ops, reference
from latentcore.ops import _folds, _registration

BACKWARD = {
    "gmm_statistics": "gmm_score",
    "reparameterize_kl": "reparameterize_kl_backward",
    "vae_loss": "vae_loss_backward",
    "warp": "warp_backward",
}


def operator_of(name):
    if name.startswith(("gmm", "weighted")):
        return "gmm_statistics" if name.startswith("weighted") else name.partition("-")[0]
    latents = [operator for operator in ("reparameterize_kl", "vae_loss") if name.startswith(operator)]
    return latents[0] if latents else "warp"


@pytest.fixture
def no_twins(monkeypatch):
    def refused(*arguments, **options):
        raise AssertionError("a twin")

    # the CPU's gmm_em is the twin's loop over the other operators
    for name in {operator_of(name) for name in SMOOTH} | {"gmm_m_step", "kmeans_step", "kmeans_potentials"}:
        monkeypatch.setattr(reference, name, refused)


# weights of pixels are the same for a batch
IN_ONE_CALL = [name for name in SMOOTH if name != "vae_loss with mapped weights"]


@pytest.mark.usefixtures("no_twins")
@pytest.mark.parametrize("name", IN_ONE_CALL)
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


@pytest.mark.parametrize("name", SMOOTH | CONSTANT)
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


@pytest.mark.parametrize("name", FEW)
def test_torchs_older_map(name):
    """is_grads_batched=True, and what stands on it."""
    function, tensors = SMOOTH[name]
    places = differentiable(name, tensors)

    def first_result(*chosen):
        by_place = dict(zip(places, chosen, strict=True))
        return results_of(function(*(by_place.get(i, t) for i, t in enumerate(tensors))))[0]

    chosen = tuple(tensors[place] for place in places)
    found = torch.autograd.functional.jacobian(first_result, chosen, vectorize=True)
    assert not found[0].requires_grad
    assert_all_close(found, torch.autograd.functional.jacobian(first_result, chosen))
