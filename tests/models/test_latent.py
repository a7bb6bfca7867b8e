import pytest
import torch
from hypothesis import given, strategies as st

from latentcore.models import BlockRotation, LatentConfig, build_operator
from latentcore.models.latent import conditions
from latentcore.testing import assert_near

FIELDS = {
    "equivariant": {},
    "charted": {"model": "equivariant", "couplings": 1, "hidden": (8,)},
    "mlp": {},
    "step": {"activation": "silu"},
    "recurrent": {},
    "transformer": {},
}
KINDS = list(FIELDS)
SIZES = [1, 2, 3, 7, 32, 64]
DEGREES = st.floats(-720, 720)
ANGLES = torch.tensor([30.0, 90, 240, -60, 123])


def told(degrees, scale=1.0, right=0.0, down=0.0, n=5, dtype=torch.float32):
    columns = [torch.as_tensor(x, dtype=dtype).expand(n) for x in (degrees, scale, right, down)]
    return torch.stack(columns, dim=1)


def trained(module, spread=0.2):
    """The module with weights as if it had been trained: none is 0."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += spread * torch.randn_like(parameter)
    return module


def operator_of(kind, latent=8, **fields):
    sizes = {"hidden": (16, 16), "width": 16, "tokens": 8 if latent % 8 == 0 else latent}
    config = LatentConfig(**{"model": kind, **sizes, **FIELDS[kind], **fields})
    return trained(build_operator(config, latent))


@pytest.mark.parametrize("latent", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_sample_is_transformed_by_itself(kind, latent):
    operator, z = operator_of(kind, latent), torch.randn(5, latent)
    parameters = told(ANGLES)
    moved = operator(z, parameters)
    assert moved.shape == z.shape
    assert moved.isfinite().all()
    for n in range(5):
        torch.testing.assert_close(operator(z[n : n + 1], parameters[n : n + 1])[0], moved[n], rtol=1e-4, atol=1e-5)
    assert operator.eval()(z[:0], parameters[:0]).shape == (0, latent)
    with torch.no_grad():
        torch.testing.assert_close(operator(z, parameters), moved, rtol=1e-4, atol=1e-5)
    if latent > 1:
        assert ((moved - z).norm(dim=1) > 1e-3).all()


@pytest.mark.parametrize("latent", [3, 7, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_a_gradient_reaches_every_parameter_and_the_latents(kind, latent):
    operator, z = operator_of(kind, latent), torch.randn(5, latent, requires_grad=True)
    (operator(z, told(ANGLES)) * torch.randn(5, latent)).sum().backward()
    assert z.grad.any(dim=1).all()
    assert [name for name, p in operator.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_operator_learns(kind):
    operator = build_operator(LatentConfig(**{"model": kind, "hidden": (16,), "width": 16, **FIELDS[kind]}), 8)
    z, parameters = torch.randn(64, 8), told(30.0, n=64)
    goal = z @ torch.linalg.qr(torch.eye(8) + 0.3 * torch.randn(8, 8)).Q
    optimizer, losses = torch.optim.Adam(operator.parameters(), lr=1e-2), []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append((operator(z, parameters) - goal).square().mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_whole_turns_do_not_count(kind):
    operator, z = operator_of(kind), torch.randn(5, 8)
    for degrees, same in ((-30.0, 330.0), (390.0, 30.0), (360.0, 0.0), (1e6, 280.0)):
        torch.testing.assert_close(operator(z, told(degrees)), operator(z, told(same)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["equivariant", "charted", "step", "recurrent"])
def test_no_rotation_changes_nothing_and_only_rotations_count(kind):
    operator, z = operator_of(kind), torch.randn(5, 8)
    torch.testing.assert_close(operator(z, told(0.0)), z)
    assert torch.equal(operator(z, told(30.0, 1.3, 4, -2)), operator(z, told(30.0)))


@pytest.mark.parametrize("kind", ["mlp", "transformer"])
@pytest.mark.parametrize("change", [{"degrees": 31.0}, {"scale": 1.1}, {"right": 1.0}, {"down": 1.0}])
def test_the_others_hear_of_every_parameter(kind, change):
    operator, z = operator_of(kind), torch.randn(5, 8)
    assert (operator(z, told(**{"degrees": 30.0, **change})) - operator(z, told(30.0))).norm(dim=1).min() > 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16(kind):
    operator, z = operator_of(kind, 32), torch.randn(5, 32)
    expected = operator(z, told(ANGLES))
    with torch.autocast("cpu", torch.bfloat16):
        for latents in (z, z.bfloat16()):
            moved = operator(latents, told(ANGLES))
            torch.testing.assert_close(moved.float(), expected, rtol=0.05, atol=0.1)
            moved.float().square().sum().backward()


def test_conditions():
    assert torch.equal(conditions(told([0.0, 360, -720], n=3)), torch.zeros(3, 5))
    turned = conditions(told(90.0, 1.3, 4.0, -8.0, n=1))
    assert turned[0].tolist() == pytest.approx([-1, 1, 1, 1, -2], abs=1e-6)


# the group


def turn_of(latent, couplings=0, seed=0, **options):
    torch.manual_seed(seed)
    turn = trained(BlockRotation(latent, couplings=couplings, hidden=(8,), **options).double())
    return turn, torch.randn(5, latent, dtype=torch.float64)


def by(degrees, n=5):
    return told(degrees, n=n, dtype=torch.float64)


@given(latent=st.sampled_from(SIZES), couplings=st.integers(0, 2), seed=st.integers(0, 99), a=DEGREES, b=DEGREES)
def test_rotations_are_a_group(latent, couplings, seed, a, b):
    turn, z = turn_of(latent, couplings, seed)
    assert_near(turn(turn(z, by(a)), by(b)), turn(z, by(a + b)), tolerance=1e-10)
    assert_near(turn(turn(z, by(a)), by(-a)), z, tolerance=1e-10)
    for whole in (0.0, 360.0):
        assert_near(turn(z, by(whole)), z)


@given(latent=st.sampled_from(SIZES), seed=st.integers(0, 99), a=DEGREES)
def test_lengths_stay_without_couplings(latent, seed, a):
    turn, z = turn_of(latent, seed=seed)
    assert_near(turn(z, by(a)).norm(dim=1), z.norm(dim=1))


def test_couplings_bend():
    turn, z = turn_of(8, couplings=1)
    assert not torch.allclose(turn(z, by(50.0)).norm(dim=1), z.norm(dim=1), rtol=1e-3)
    new = BlockRotation(8, couplings=2).double()
    assert_near(new(z, by(50.0)), BlockRotation(8).double()(z, by(50.0)))


@pytest.mark.parametrize("latent", [5, 32])
def test_the_basis_is_orthogonal_and_planes_turn_at_whole_multiples(latent):
    turn, _ = turn_of(latent, max_frequency=3)
    q = turn.orthogonal().detach()
    assert_near(q @ q.T, torch.eye(latent, dtype=torch.float64))
    matrix = turn(torch.eye(latent, dtype=torch.float64), by(10.0, latent)).detach()
    frequencies = torch.linalg.eigvals(matrix).angle().rad2deg().abs() / 10
    planes = [(1, 0, 2, 3)[p % 4] for p in range(latent // 2)]
    expected = sorted([*planes, *planes, *[0] * (latent % 2)])
    assert frequencies.sort().values.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("degrees", [1e6, 1e6 + 0.3, -1e6, 123456.789])
def test_huge_angles(degrees):
    turn, z = turn_of(12)
    reduced = turn(z, by(degrees % 360))
    assert_near(turn(z, by(degrees)), reduced, tolerance=1e-9)
    single = turn.float()
    assert_near(single(z.float(), by(degrees)), reduced.float())


def test_the_generator_is_learned():
    skew = torch.randn(8, 8)
    mixed = torch.linalg.matrix_exp(0.3 * (skew - skew.T))  # a rotation to unknown axes
    truth = BlockRotation(8)
    z, parameters = torch.randn(256, 8), told(360 * torch.rand(256), n=256)
    goal = truth(z @ mixed, parameters).detach() @ mixed.T
    turn = BlockRotation(8)
    optimizer, losses = torch.optim.Adam(turn.parameters(), lr=0.03), []
    for _ in range(300):
        optimizer.zero_grad()
        losses.append((turn(z, parameters) - goal).square().mean())
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 1000
    # what was learned holds for other latents and a composition of turns
    fresh = torch.randn(50, 8)
    twice = turn(turn(fresh, told(70.0, n=50)), told(45.0, n=50))
    assert (twice - truth(fresh @ mixed, told(115.0, n=50)) @ mixed.T).square().mean() < losses[0] / 1000


@pytest.mark.parametrize("couplings", [0, 1])
def test_autocast_does_not_blur_a_turn(couplings):
    turn = trained(BlockRotation(16, couplings=couplings))
    z = torch.randn(5, 16)
    expected = turn(z, told(50.0))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(turn(z, told(50.0)), expected)
        assert turn(z.bfloat16(), told(50.0)).dtype == torch.float32


# the networks that go step by step


@pytest.mark.parametrize(("step", "times"), [(30.0, 3), (90.0, 2), (22.5, 15), (180.0, 1)])
def test_steps_are_repeated(step, times):
    operator, z = operator_of("step", step=step), torch.randn(5, 8)
    one_by_one = z
    for _ in range(times):
        one_by_one = operator(one_by_one, told(step))
    assert torch.equal(operator(z, told(times * step)), one_by_one)
    assert not torch.equal(operator(z, told((times - 1) * step)), one_by_one)


def test_a_step_model_takes_the_nearest_step():
    operator, z = operator_of("step"), torch.randn(5, 8)
    assert torch.equal(operator(z, told([44.0, 31, 16, 374, 59])), operator(z, told([30.0, 30, 30, 0, 60])))


@pytest.mark.parametrize("step", [30.0, 50.0, 180.0])
def test_a_recurrent_model_takes_any_angle(step):
    operator, z = operator_of("recurrent", step=step), torch.randn(5, 8)
    by_angle = torch.stack([operator(z, told(degrees)) for degrees in (0.0, 25, 49.9, 50, 50.1, 75, 200, 355)])
    differences = by_angle.diff(dim=0).norm(dim=(1, 2))
    assert (differences > 1e-4).all()
    assert differences[2:4].max() < 0.1 * differences[1]  # no jump


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"model": "turn"}, ValueError, r"LatentConfig\.model: expected one of"),
        ({"hidden": (16, 0)}, ValueError, r"LatentConfig\.hidden: expected"),
        ({"step": 0.0}, ValueError, r"LatentConfig\.step: expected"),
        ({"step": 181.0}, ValueError, r"LatentConfig\.step: expected"),
        ({"step": float("nan")}, ValueError, r"LatentConfig\.step: expected a finite number"),
        ({"model": "step", "step": 50.0}, ValueError, r"LatentConfig\.step: expected a divisor of 360"),
        ({"width": 66}, ValueError, r"LatentConfig\.width: expected a multiple of 4, got 66"),
        ({"width": 0}, ValueError, r"LatentConfig\.width: expected"),
        ({"layers": 0}, ValueError, r"LatentConfig\.layers: expected"),
        ({"tokens": 2.0}, TypeError, r"LatentConfig\.tokens: expected an int"),
        ({"max_frequency": 0}, ValueError, r"LatentConfig\.max_frequency: expected"),
        ({"couplings": -1}, ValueError, r"LatentConfig\.couplings: expected"),
        ({"activation": "sine"}, ValueError, r"LatentConfig\.activation: expected one of"),
    ],
)
def test_wrong_configurations(fields, error, message):
    with pytest.raises(error, match=message):
        LatentConfig(**fields)


@pytest.mark.parametrize(("latent", "pieces"), [(32, 8), (30, 2), (7, 1), (4, 4)])
def test_the_transformer_takes_as_many_pieces_as_fit(latent, pieces):
    assert build_operator(LatentConfig(model="transformer"), latent).tokens == pieces


@pytest.mark.parametrize(("kind", "couplings"), [("equivariant", 1), ("mlp", 0), ("step", 0), ("transformer", 0)])
def test_the_activation_is_used(kind, couplings):
    results = []
    for activation in ("relu", "tanh"):
        torch.manual_seed(0)
        config = LatentConfig(model=kind, couplings=couplings, activation=activation, hidden=(16,))
        results.append(trained(build_operator(config, 8))(torch.ones(1, 8), told(30.0, n=1)))
    assert not torch.allclose(*results)


def test_wrong_sizes():
    with pytest.raises(ValueError, match="latent: expected an int in"):
        build_operator(LatentConfig(), 0)
    with pytest.raises(TypeError, match="latent: expected an int, got float"):
        build_operator(LatentConfig(), 8.0)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_moves_latents_by_nothing(kind):
    """Where a VAE is trained with an operator, reconstruction without it has to be what was trained."""
    z = torch.randn(5, 8)
    for turns in (0.0, 360.0):
        torch.testing.assert_close(operator_of(kind)(z, told(turns)), z, rtol=1e-5, atol=1e-5)
