"""Derivatives of derivatives: the twins', which serve where a gradient is asked for with create_graph=True."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from latentcore import ops, reference
from latentcore.mixture import MixturePrior
from latentcore.ops import _registration
from latentcore.testing import assert_near

FACTORS = {"full": (3, 2, 2), "tied": (2, 2), "diag": (3, 2), "spherical": (3,)}
IMAGE = torch.rand(2, 1, 4, 5)


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))).double().requires_grad_()


def positive(*shape):
    return (normal(*shape).detach().abs() + 0.5).requires_grad_()


def mixture_cases(kind, shape):
    x, weights, means, factors = normal(4, 2), positive(3), normal(3, 2), positive(*shape)
    sample_weight = positive(4).detach()

    def log_likelihood(*tensors):
        weight = sample_weight.to(tensors[0].dtype)
        return ops.gmm_statistics(*tensors, kind, sample_weight=weight).log_likelihood

    return {
        f"gmm_log_prob-{kind}": (lambda *t: ops.gmm_log_prob(*t, kind), (x, means, factors)),
        f"gmm_e_step-{kind}": (lambda *t: ops.gmm_e_step(*t, kind), (x, weights, means, factors)),
        f"gmm_responsibilities-{kind}": (lambda *t: ops.gmm_responsibilities(*t, kind), (x, weights, means, factors)),
        f"gmm_statistics-{kind}": (log_likelihood, (x, weights, means, factors)),
    }


def loss_cases(likelihood, reduction):
    target = torch.rand(3, 5).double()

    def terms(logits, mu, logvar, beta):
        options = {"beta": beta, "likelihood": likelihood, "scale": 0.5, "reduction": reduction}
        return ops.vae_loss(logits, target, mu, logvar, **options)

    return {f"vae_loss-{likelihood}-{reduction}": (terms, (normal(3, 5), normal(3, 2), normal(2, 3).mT, positive()))}


def prior_case():
    prior = MixturePrior(3, 2, spread=2.0, dtype=torch.float64)
    names = [name for name, _ in prior.named_parameters()]

    def log_prob(z, *parameters):
        return torch.func.functional_call(prior, dict(zip(names, parameters, strict=True)), (z,))

    return log_prob, (normal(4, 2), *(p.detach().requires_grad_() for p in prior.parameters()))


ANGLE = torch.tensor([20.3, 77.0]).double().requires_grad_()
NUMBERS = [torch.tensor(v).double().requires_grad_() for v in ([1.13, 0.87], [[0.31, 0.21], [1.37, -0.63]])]
CASES = {
    **{name: case for kind, shape in FACTORS.items() for name, case in mixture_cases(kind, shape).items()},
    **loss_cases("bernoulli", "mean"),
    **loss_cases("gaussian", "none"),
    "reparameterize_kl": (
        lambda mu, logvar: ops.reparameterize_kl(mu, logvar, seed=3),
        (normal(3, 2), normal(2, 3).mT),
    ),
    "rotate": (lambda images, angle: ops.rotate(images, angle, fill=0.3), (normal(2, 1, 4, 5), ANGLE)),
    "affine": (lambda *t: ops.affine(t[0], scale=t[1], translate=t[2]), (normal(2, 1, 4, 5), *NUMBERS)),
    "bytes": (lambda angle: ops.rotate((255 * IMAGE).byte(), angle, dtype=torch.float64), (ANGLE,)),
    "MixturePrior": prior_case(),
}


def total(function, tensors):
    """A curved function of all results."""
    results = function(*tensors)
    return sum((2 + i) * r.sin().sum() for i, r in enumerate([results] if torch.is_tensor(results) else results))


@pytest.mark.parametrize("name", CASES)
def test_they_are_those_of_central_differences(name):
    function, tensors = CASES[name]
    assert torch.autograd.gradgradcheck(function, tensors)


@pytest.mark.parametrize("name", CASES)
def test_a_hessian_is_the_twins(name):
    """In forward mode, which torch.func.hessian is over another derivative, the twins serve."""
    function, tensors = CASES[name]
    found = torch.autograd.functional.hessian(lambda *t: total(function, t), tensors)
    expected = torch.func.hessian(lambda *t: total(function, t), tuple(range(len(tensors))))(*tensors)
    for row, expected_row in zip(found, expected, strict=True):
        for block, wanted in zip(row, expected_row, strict=True):
            torch.testing.assert_close(block, wanted.detach())
    assert any(bool(block.count_nonzero()) for row in found for block in row)


@pytest.mark.parametrize("name", ["gmm_e_step-full", "vae_loss-gaussian-none", "reparameterize_kl"])
def test_third_derivatives(name):
    function, tensors = CASES[name]

    def slopes(*inputs):
        return torch.autograd.grad(total(function, inputs), inputs, create_graph=True)

    assert torch.autograd.gradcheck(slopes, tensors)
    assert torch.autograd.gradgradcheck(slopes, tensors)


@pytest.mark.parametrize("name", CASES)
def test_first_derivatives_are_the_same_with_and_without_a_graph(name):
    function, tensors = CASES[name]
    narrow = [t.detach().float().requires_grad_() for t in tensors]
    plain, graphed = (torch.autograd.grad(total(function, narrow), narrow, create_graph=g) for g in (False, True))
    for one, other in zip(graphed, plain, strict=True):
        assert one.requires_grad
        assert one.dtype == other.dtype
        assert_near(one.detach(), other.double(), tolerance=2e-5)


def test_an_input_that_depends_on_another_counts_once():
    """The logits on the mean, which is the logarithm of the variance too."""
    target, mu = torch.rand(3, 2).double(), normal(3, 2)

    def slope(module):
        loss = module.vae_loss(mu.tanh(), target, mu, mu).loss
        return torch.autograd.grad(loss.square(), mu, create_graph=True)[0]

    torch.testing.assert_close(slope(ops), slope(reference))
    for one, other in zip(*(torch.autograd.grad(slope(m).sin().sum(), mu) for m in (ops, reference)), strict=True):
        torch.testing.assert_close(one, other)


def test_a_sample_that_no_component_reaches_moves_nothing():
    """The derivatives of the others are what they are, where a twin has to find them too."""
    x = torch.tensor([[1e30, 0.0], [1.0, 1.0]], requires_grad=True)
    means, factors = (t.detach().float().requires_grad_() for t in (normal(3, 2), positive(3)))

    def slopes(create_graph):
        norm, _ = ops.gmm_e_step(x, torch.full((3,), 1 / 3), means, factors, "spherical")
        assert norm[0] == -torch.inf
        return torch.autograd.grad(norm.sum(), (x, means, factors), create_graph=create_graph)

    torch.testing.assert_close(slopes(True), slopes(False))


def test_an_input_without_any_influence_has_a_derivative_of_0():
    angle = ANGLE.detach().requires_grad_()
    rotated = ops.rotate(IMAGE, angle, interpolation="nearest")
    (slope,) = torch.autograd.grad(rotated.sum(), angle, create_graph=True)
    assert slope.tolist() == [0, 0]


def test_the_operators_themselves_have_them_too():
    """Their derivative is another one than the public functions', which are for small batches."""
    logits, target, mu, logvar = (torch.rand(1, 3).double() for _ in range(4))

    def loss(operator, *tensors):
        return operator(*tensors, *[None] * 5, 1.0, "bernoulli", 1.0, True, True)[0]

    found = torch.autograd.functional.hessian(
        lambda t: loss(torch.ops.latentcore.vae_loss, t, target, mu, logvar), logits
    )
    slope = logits.sigmoid() * (1 - logits.sigmoid())
    torch.testing.assert_close(found[0, :, 0], slope[0].diag())


def test_those_of_compiled_code_are_an_error():
    logits, target, mu, logvar = (torch.rand(3, 4, requires_grad=i != 1) for i in range(4))
    loss = torch.compile(ops.vae_loss, fullgraph=True)(logits, target, mu, logvar).loss
    with pytest.raises(RuntimeError, match=r"create_graph=|double backward"):
        torch.autograd.grad(torch.autograd.grad(loss, mu, create_graph=True)[0].sum(), mu)


def test_a_part_of_an_operators_derivative_has_none():
    resp, x, means, factors = (torch.rand(*shape) for shape in ((4, 3), (4, 2), (3, 2), (3,)))
    score = torch.ops.latentcore.gmm_moments(resp, x.requires_grad_(), means, factors, "spherical")[0]
    with pytest.raises(RuntimeError, match="gmm_moments has no derivative"):
        score.sum().backward()


@pytest.mark.parametrize("name", CASES)
def test_nothing_of_this_is_done_for_first_derivatives(name, monkeypatch):
    """Neither in eager mode nor where steps are recorded."""

    def asked(*arguments):
        raise AssertionError("the twin's derivative")

    monkeypatch.setattr(_registration, "_derivative_of", asked)
    function, tensors = CASES[name]

    def slopes():
        return torch.autograd.grad(total(function, tensors), tensors)

    torch.testing.assert_close(make_fx(slopes)()(), slopes())
    with pytest.raises(AssertionError, match="the twin's derivative"):
        torch.autograd.grad(total(function, tensors), tensors, create_graph=True)


def test_those_of_many_results_at_once():
    """A derivative is mapped over directions, and differentiated again."""
    x, weights, means = torch.randn(5, 2, requires_grad=True), torch.tensor([0.4, 0.6]), torch.randn(2, 2)
    factors = torch.eye(2).repeat(2, 1, 1)
    second = []
    for vectorize in (False, True):
        jacobian = torch.autograd.functional.jacobian(
            lambda t: ops.gmm_e_step(t, weights, means, factors)[0], x, create_graph=True, vectorize=vectorize
        )
        second.append(torch.autograd.grad(jacobian.square().sum(), x)[0])
    assert second[0].abs().sum() > 0
    torch.testing.assert_close(*second)


def test_a_derivative_with_a_graph_may_be_written_to():
    images = torch.rand(1, 1, 5, 5, requires_grad=True)
    (grad,) = torch.autograd.grad(ops.rotate(images, 30.0).square().sum(), images, create_graph=True)
    before = grad.detach().clone()
    assert torch.equal(grad.mul_(2), 2 * before)
