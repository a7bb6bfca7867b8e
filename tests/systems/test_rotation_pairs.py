import pytest
import torch
from lightning_fabric import Fabric
from torch.utils._python_dispatch import TorchDispatchMode

from latentcore.data import ImageSet
from latentcore.models import VAE, LatentConfig, MLPConfig, TransformingVAE, VAEConfig, build_operator
from latentcore.ops import affine, rotate
from latentcore.systems.rotation.config import PairsConfig, TransformationWeights
from latentcore.systems.rotation.objective import TransformationLoss
from latentcore.systems.rotation.pairs import Pairs, transformable
from latentcore.training import TrainConfig
from latentcore.training.gradients import Gradients
from latentcore.training.plan import Plan

IMAGES = torch.randint(256, (40, 2, 11, 13), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
UNIT = IMAGES.float() / 255
COUNT = 400
ROWS = torch.arange(COUNT) % len(IMAGES)


LABELS = torch.arange(len(IMAGES)) % 4


def pairs_of(**fields):
    config = PairsConfig(**fields)
    return Pairs(transformable(ImageSet(IMAGES, LABELS), config), config)


def drawn(**fields):
    pairs = pairs_of(**fields)
    return pairs.batch(ROWS, 2 * torch.rand(pairs.numbers, COUNT) - 1)


def near(found, expected):
    return (found - expected).abs().flatten(1).max(1).values < 1e-4


def starts_of(images, angles):
    """The orientation, one of `angles`, in which each of the images lies, which must be one interpolation away."""
    fits = torch.stack([near(images, rotate(UNIT[ROWS], angle)) for angle in angles])
    assert (fits.sum(0) == 1).all()
    return torch.tensor(angles)[fits.float().argmax(0)]


@pytest.mark.parametrize("angles", [tuple(30.0 * n for n in range(12)), (0.0, 45.0, 100.0), (17,)])
def test_targets_are_turned_from_the_data_in_one_step(angles):
    batch = drawn(angles=angles, upright=0.5, same=0.25)
    starts = starts_of(batch.images, sorted({0.0, *angles}))
    turned = batch.parameters[:, 0]
    assert near(batch.targets, rotate(UNIT[ROWS], starts + turned)).all()
    assert torch.equal(batch.parameters[:, 1:], torch.tensor([1.0, 0, 0]).expand(COUNT, 3))
    # where an image ends is a configured orientation, or where it began
    ends = (starts + turned) % 360
    assert (torch.isin(ends, torch.tensor(angles, dtype=torch.float32)) | (turned == 0)).all()
    assert {*angles} <= {*ends.tolist()}
    assert 0.5 < (starts == 0).float().mean() + (0 not in angles) / 4 < 0.9
    assert ((turned >= 0) & (turned < 360)).all()


def test_any_angle():
    batch = drawn(angles=(), upright=1.0, same=0.0)
    assert near(batch.targets, rotate(UNIT[ROWS], batch.parameters[:, 0])).all()
    assert batch.parameters[:, 0].histc(8, 0, 360).min() > COUNT / 8 / 2
    turned = drawn(angles=(), upright=0.0, same=0.0)
    assert not near(turned.images, UNIT[ROWS]).any()
    assert near(turned.targets.mean((2, 3)), rotate(turned.images, turned.parameters[:, 0]).mean((2, 3))).sum() < COUNT


def test_upright_and_same():
    upright = drawn(upright=1.0, same=0.0)
    assert near(upright.images, UNIT[ROWS]).all()
    assert upright.parameters[:, 0].unique().tolist() == [30.0 * n for n in range(12)]
    for more in ({}, {"scale": (0.5, 2.0), "translate": 3.0, "upright": 1.0}):
        same = drawn(same=1.0, **more)
        assert torch.equal(same.images, same.targets)
        assert torch.equal(same.parameters, torch.tensor([0.0, 1, 0, 0]).expand(COUNT, 4))
    both = drawn(upright=0.5, same=0.5, angles=(90.0,))
    upright, still = near(both.images, UNIT[ROWS]), near(both.images, both.targets)
    for share in (upright & still, upright & ~still):
        assert 0.15 < share.float().mean() < 0.35
    some = drawn(upright=1.0, same=0.3, angles=(90.0,))
    assert 0.2 < (some.parameters[:, 0] == 0).float().mean() < 0.4
    assert (drawn(upright=1.0, same=0.0, angles=(90.0,)).parameters[:, 0] == 90).all()
    assert near(drawn(upright=0.0, same=0.0, angles=(90.0,)).images, rotate(UNIT[ROWS], 90.0)).all()


def test_scales_and_translations():
    batch = drawn(scale=(0.5, 1.5), translate=2.0, upright=0.7, same=0.1)
    angle, scale, right, down = batch.parameters.unbind(1)
    still = (batch.parameters == torch.tensor([0.0, 1, 0, 0])).all(1)
    # an image that is transformed itself is its own target
    upright = near(batch.images, UNIT[ROWS])
    assert torch.equal(upright & ~still, ~still)
    assert torch.equal(batch.images[still], batch.targets[still])
    assert 0.6 < upright.float().mean() < 0.85
    assert 0.25 < still.float().mean() < 0.5
    expected = affine(UNIT[ROWS], angle=angle, scale=scale, translate=(right, down))
    assert near(batch.targets, expected)[upright].all()
    for values, low, high in ((scale, 0.5, 1.5), (right, -2, 2), (down, -2, 2)):
        moving = values[~still]
        assert low <= moving.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < moving.max() <= high


@pytest.mark.parametrize("more", [{}, {"scale": (0.5, 2.0)}])
def test_some_classes_are_seen_upright_only(more):
    batch, fixed = drawn(upright_labels=(1, 3), **more), torch.isin(LABELS[ROWS], torch.tensor([1, 3]))
    assert near(batch.images, UNIT[ROWS])[fixed].all()
    assert torch.equal(batch.images[fixed], batch.targets[fixed])
    assert torch.equal(batch.parameters[fixed], torch.tensor([0.0, 1, 0, 0]).expand(COUNT // 2, 4))
    assert 0.4 < near(batch.images, UNIT[ROWS])[~fixed].float().mean() < 0.7
    with pytest.raises(ValueError, match="labels: expected a label for every image"):
        Pairs(transformable(IMAGES, PairsConfig()), PairsConfig(upright_labels=(1,)))


def test_a_canvas():
    batch = drawn(canvas=20, upright=1.0, same=0.0)
    assert batch.images.shape == batch.targets.shape == (COUNT, 2, 20, 20)
    assert near(batch.images[..., 4:15, 3:16], UNIT[ROWS]).all()
    whole = batch.images.sum((1, 2, 3))
    assert ((batch.targets.sum((1, 2, 3)) - whole).abs() < 0.05 * whole).all()


def test_a_batch_is_a_function_of_rows_and_numbers():
    pairs, draws = pairs_of(), 2 * torch.rand(10, COUNT) - 1
    batch, part = pairs.batch(ROWS, draws), pairs.batch(ROWS[50:60], draws[:, 50:60])
    for whole, some in zip(batch, part, strict=True):
        assert torch.equal(whole[50:60], some)
    # the ends of the range
    for end in (-1.0, 1 - 2**-23):
        assert all(x.isfinite().all() for x in pairs_of(scale=(0.5, 1)).batch(ROWS, torch.full((10, COUNT), end)))


@pytest.mark.parametrize(
    "fields", [{}, {"angles": (), "scale": (0.5, 2.0), "translate": 1.0, "canvas": 16, "upright_labels": (1,)}]
)
def test_pairs_are_made_on_the_device_without_looking_at_numbers(fields):
    pairs = pairs_of(**fields).to(torch.device("meta"))  # whoever asks for a number fails
    batch = pairs.batch(ROWS.to("meta"), torch.zeros(10, COUNT, device="meta"))
    assert {x.device.type for x in batch} == {pairs.device.type} == {"meta"}


class NothingFromTheHost(TorchDispatchMode):
    """Fails where a number is read from a tensor, or a tensor is made of Python's numbers.

    Only beta, in float64, is excepted: operators on the CPU take it as a number.
    """

    FORBIDDEN = ("_local_scalar_dense", "lift_fresh", "nonzero", "equal", "masked_select")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in self.FORBIDDEN or args[0].dtype == torch.float64, name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("model", ["equivariant", "mlp", "step", "recurrent", "transformer"])
def test_a_step_reads_everything_from_the_device(model, frozen):
    shape = {"image_shape": (2, 11, 13), "network": MLPConfig(hidden=(16,), decoder_hidden=(16,))}
    latent = build_operator(LatentConfig(model=model, hidden=(16,), width=16), 8)
    plain = TransformingVAE(VAE(VAEConfig(latent=8, **shape)), latent)
    if frozen:
        plain.freeze()
    fabric = Fabric(accelerator="cpu", devices=1)
    plan = Plan(TrainConfig(epochs=2, batch_size=10, gradient_clip=1.0, beta_warmup=0.5), pairs_of())
    objective = TransformationLoss(TransformationWeights(latent=0.1, cosine=0.1))
    gradients = Gradients(fabric, fabric.setup(plain), plain, objective, plan)
    for epoch in range(2):
        gradients.begin(epoch)
        for _ in range(plan.steps):
            with NothingFromTheHost():
                gradients()
            assert all(p.grad.any() for p in plain.operator.parameters())
            assert [p for p in plain.vae.parameters() if (p.grad is None) != frozen] == []
    assert (gradients.totals > 0).all()
    with pytest.raises(AssertionError, match="_local_scalar_dense"), NothingFromTheHost():
        gradients.totals[0].item()


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"upright": 1.1}, ValueError, r"PairsConfig\.upright: expected"),
        ({"same": -0.1}, ValueError, r"PairsConfig\.same: expected"),
        ({"scale": (0.0, 1.0)}, ValueError, r"PairsConfig\.scale: expected 0 < low <= high"),
        ({"scale": (1.2, 0.8)}, ValueError, r"PairsConfig\.scale: expected 0 < low <= high"),
        ({"scale": (1.0, float("inf"))}, ValueError, r"PairsConfig\.scale.*finite"),
        ({"translate": -1.0}, ValueError, r"PairsConfig\.translate: expected"),
        ({"canvas": -1}, ValueError, r"PairsConfig\.canvas: expected"),
        ({"canvas": 40.0}, TypeError, r"PairsConfig\.canvas: expected an int"),
        ({"angles": (0.0, float("nan"))}, ValueError, r"PairsConfig\.angles\[1\]: expected a finite number"),
        ({"angles": 30.0}, TypeError, r"PairsConfig\.angles: expected a list"),
    ],
)
def test_wrong_configurations(fields, error, message):
    with pytest.raises(error, match=message):
        PairsConfig(**fields)
