"""A gradient is found or refused: no result says that it has one and drops it."""

import pytest
import torch

from latentcore import _native, ops
from latentcore.testing import assert_near


@pytest.fixture(params=["native", "twin"])
def kernels(request, monkeypatch):
    if request.param == "twin":
        monkeypatch.setattr(_native, "has_kernel", lambda operator, tensor: False)


X, WEIGHTS, MEANS, FACTORS = torch.randn(9, 2), torch.full((3,), 1 / 3), torch.randn(3, 2), torch.ones(3)
CLOSEST, COUNTS = torch.full((9,), 3.0), torch.rand(9)
IMAGES, LATENTS = torch.rand(3, 1, 4, 5), torch.randn(3, 2)
MIXTURE = {"x": X, "weights": WEIGHTS, "means": MEANS, "precisions_cholesky": FACTORS}
KIND = {"covariance_type": "spherical"}
# arguments that are tensors, and other ones
CALLS = {
    "affine": ({"images": IMAGES, "angle": torch.rand(3), "translate": torch.rand(3, 2), "scale": torch.rand(3)}, {}),
    "gmm_e_step": (MIXTURE, KIND),
    "gmm_em": ({**MIXTURE, "sample_weight": COUNTS}, KIND),
    "gmm_log_prob": ({"x": X, "means": MEANS, "precisions_cholesky": FACTORS}, KIND),
    "gmm_responsibilities": (MIXTURE, KIND),
    "gmm_statistics": ({**MIXTURE, "sample_weight": COUNTS}, KIND),
    "kmeans_potentials": ({"x": X, "points": MEANS, "closest": CLOSEST, "sample_weight": COUNTS}, {}),
    "kmeans_step": ({"x": X, "centers": MEANS, "sample_weight": COUNTS}, {}),
    "kmeans_update": ({"x": X, "point": MEANS[:1], "closest": CLOSEST, "sample_weight": COUNTS}, {}),
    "reparameterize_kl": ({"mu": LATENTS, "logvar": LATENTS}, {}),
    "rotate": ({"images": IMAGES, "angle": torch.rand(3)}, {}),
    "vae_loss": (
        {"logits": IMAGES, "target": IMAGES, "mu": LATENTS, "logvar": LATENTS, "beta": torch.tensor(0.5)},
        {"likelihood": "gaussian"},
    ),
}
FUNCTIONS = [name for name in ops.__all__ if name.islower() and name != "gmm_m_step"]


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_has_its_gradient_or_none_is_promised(name):
    tensors, options = CALLS[name]
    for argument, tensor in tensors.items():
        leaf = tensor.clone().requires_grad_()
        try:
            results = getattr(ops, name)(**{**tensors, argument: leaf}, **options)
        except ValueError as error:
            assert f"{argument}: expected a tensor that requires no gradient" in str(error)  # noqa: PT017
            continue
        promised = [r for r in ([results] if torch.is_tensor(results) else results) if r.requires_grad]
        found = [torch.autograd.grad(r.sum(), leaf, retain_graph=True, allow_unused=True)[0] for r in promised]
        assert not promised or any(gradient is not None for gradient in found)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("kind", "shape"), [("full", (3, 2, 2)), ("tied", (2, 2)), ("diag", (3, 2)), ("spherical", (3,))]
)
def test_an_m_step_promises_none(kind, shape):
    moments = [torch.rand(size, requires_grad=True) for size in ((), (3,), (3, 2), shape)]
    found = ops.gmm_m_step(ops.MixtureStatistics(*moments), MEANS.clone().requires_grad_(), kind)
    assert not any(value.requires_grad for value in found)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", ["kmeans_step", "kmeans_potentials", "kmeans_update", "gmm_em"])
def test_what_is_not_differentiable_does_not_say_so(name):
    tensors, options = CALLS[name]
    leaves = {key: value.clone().requires_grad_(key != "closest") for key, value in tensors.items()}
    if name == "gmm_em":
        leaves["sample_weight"] = COUNTS
    results = getattr(ops, name)(**leaves, **options)
    assert not any(result.requires_grad for result in ([results] if torch.is_tensor(results) else results))


@pytest.mark.usefixtures("kernels")
def test_what_is_written_in_place_is_known_to_have_changed():
    leaf = torch.ones(9, requires_grad=True)
    closest = CLOSEST.clone()
    product = leaf * closest  # saves it
    ops.kmeans_update(closest, X, MEANS[:1])
    assert closest._version > 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


def test_so_it_is_in_compiled_code():
    closest, compiled = CLOSEST.clone(), torch.compile(ops.kmeans_update, fullgraph=True)
    potential = compiled(closest, X, MEANS[:1])
    assert closest._version > 0
    assert torch.equal(potential, ops.kmeans_update(CLOSEST.clone(), X, MEANS[:1]))


@pytest.mark.usefixtures("kernels")
def test_what_requires_a_gradient_is_not_written():
    leaf = CLOSEST.clone().requires_grad_()
    for closest in (leaf, 2 * leaf):
        before = closest.detach().clone()
        with pytest.raises(ValueError, match="closest: expected a tensor that requires no gradient"):
            ops.kmeans_update(closest, X, MEANS[:1])
        assert torch.equal(closest, before)
        with torch.no_grad():
            ops.kmeans_update(closest, X, MEANS[:1])
        assert closest._version > 0


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_targets_have_a_gradient(likelihood):
    logits, target = torch.randn(2, 3).double(), torch.rand(2, 3).double().requires_grad_()
    mu = torch.randn(2, 1).double()
    options = {"likelihood": likelihood, "scale": 0.5}
    assert torch.autograd.gradcheck(lambda t: ops.vae_loss(logits, t, mu, mu, **options).loss, (target,))
    assert_near(
        ops.vae_loss(logits, target, mu, mu, **options).loss.detach(),
        ops.vae_loss(logits, target.detach(), mu, mu, **options).loss,
    )
