import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

import latentcore
from latentcore import ops
from latentcore.models import VAE, LatentConfig, TransformingVAE, VAEConfig, load_vae
from latentcore.train import TrainConfig
from latentcore.train.objectives import TransformationLoss
from latentcore.train.pairs import PairsConfig
from latentcore.train.rotation import RotationConfig, resume_rotation, train_rotation

SHAPE = {"image_shape": (1, 12, 12), "hidden": (64,), "decoder_hidden": (64,)}
TRAIN = TrainConfig(epochs=3, batch_size=32, learning_rate=5e-3, beta=0.2, device="cpu")
CONFIG = RotationConfig(
    vae=VAEConfig(latent=12, **SHAPE), operator=LatentConfig(hidden=(16,), width=16, tokens=4), train=TRAIN
)
# batch normalisation, a schedule and a latent term: all that has a state is on
FROZEN = RotationConfig(
    vae=VAEConfig(latent=8, normalisation="batch", **SHAPE),
    operator=LatentConfig(model="mlp", hidden=(16,)),
    loss=TransformationLoss(latent=0.1, cosine=0.1),
    train=dataclasses.replace(TRAIN, schedule="one-cycle"),
    vae_train=dataclasses.replace(TRAIN, epochs=4, gradient_clip=50.0),
)
ANGLES = (30.0, 90.0, 210.0, 320.0)  # the last one is not among those of the training


def bars():
    """200 uint8 images (200, 12, 12), each with a bar from the left edge, of random height, length and brightness."""
    generator = torch.Generator().manual_seed(0)
    row, column = torch.arange(12)[:, None], torch.arange(12)
    low, end = (torch.randint(a, b, (200, 1, 1), generator=generator) for a, b in ((3, 7), (6, 10)))
    inside = (row >= low) & (row < low + 2) & (column >= 1) & (column < end)
    return (inside * torch.randint(200, 256, (200, 1, 1), generator=generator)).to(torch.uint8)


@pytest.fixture
def images():
    return bars()


def with_operator(model, config=CONFIG, **fields):
    return dataclasses.replace(config, operator=dataclasses.replace(config.operator, model=model, **fields))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs that learned little, by the kind of their operator, and one that learned no rotations."""
    folder = tmp_path_factory.mktemp("runs")
    short = dataclasses.replace(CONFIG, train=dataclasses.replace(TRAIN, epochs=1))
    found = {
        model: train_rotation(bars(), with_operator(model, short), folder / model)
        for model in ("equivariant", "mlp", "step", "recurrent", "transformer")
    }
    pairs = PairsConfig(angles=(0.0,), scale=(0.5, 1.5), translate=2.0)
    found["zoom"] = train_rotation(bars(), dataclasses.replace(with_operator("mlp", short), pairs=pairs), folder / "z")
    return found


# what is learned


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    config = dataclasses.replace(CONFIG, train=dataclasses.replace(TRAIN, epochs=70))
    return train_rotation(bars(), config, tmp_path_factory.mktemp("learned") / "run")


@pytest.mark.parametrize("angle", ANGLES)
def test_turned_latents_are_decoded_to_turned_images(learned, images, angle):
    z, truth = learned.encode(images), ops.rotate(images[:, None] / 255, angle)
    error = (learned.decode(learned.transform(z, angle)) - truth).square().mean()
    assert error < 0.15 * (learned.decode(z) - truth).square().mean()
    assert error < 0.15 * (learned.decode(learned.transform(z, -angle)) - truth).square().mean()
    by_parts = learned.transform(learned.transform(z, angle - 20), 20)
    torch.testing.assert_close(by_parts, learned.transform(z, angle), rtol=1e-4, atol=1e-4)


def test_every_latent_has_an_angle_of_its_own(learned, images):
    z = learned.encode(images[:4])
    together = learned.transform(z, np.array(ANGLES))
    for n, angle in enumerate(ANGLES):
        torch.testing.assert_close(together[n], learned.transform(z[n : n + 1], angle + 720)[0], rtol=1e-4, atol=1e-5)


def test_the_frozen_way_learns_too(tmp_path, images):
    config = dataclasses.replace(
        with_operator("mlp", FROZEN, hidden=(64, 64)),
        vae=CONFIG.vae,
        vae_train=dataclasses.replace(TRAIN, epochs=30),
        train=dataclasses.replace(TRAIN, epochs=30),
        pairs=PairsConfig(angles=(0.0, 20.0), upright=1.0),
        loss=TransformationLoss(image=0.0, latent=1.0),
    )
    run = train_rotation(images, config, tmp_path / "run")
    goal = run.encode((255 * ops.rotate(images[:, None] / 255, 20.0)).round().to(torch.uint8))
    z = run.encode(images)
    assert (run.transform(z, 20.0) - goal).square().mean() < 0.5 * (z - goal).square().mean()


def test_scales_and_translations_are_learned(tmp_path, images):
    config = dataclasses.replace(
        with_operator("mlp", hidden=(64, 64)),
        pairs=PairsConfig(angles=(0.0,), translate=2.0, scale=(0.9, 1.1), upright=1.0),
        train=dataclasses.replace(TRAIN, epochs=60),
    )
    run = train_rotation(images, config, tmp_path / "run")
    z, truth = run.encode(images), images[:, None].roll(2, 2) / 255
    down = (run.decode(run.transform(z, translate=(0.0, 2.0))) - truth).square().mean()
    assert down < 0.4 * (run.decode(z) - truth).square().mean()
    assert down < 0.4 * (run.decode(run.transform(z, translate=(0.0, -2.0))) - truth).square().mean()


# runs and their folders


@pytest.mark.parametrize("kind", ["equivariant", "mlp", "step", "recurrent", "transformer", "zoom"])
def test_every_kind_loads_again(runs, images, kind):
    run, loaded = runs[kind], latentcore.load_run(runs[kind].folder)
    z = run.encode(images)
    options = {"scale": 1.2, "translate": (1.0, -1.0)} if kind == "zoom" else {"angle": 60.0}
    moved = run.transform(z, **options)
    assert moved.shape == z.shape
    assert not torch.equal(moved, z)
    assert torch.equal(loaded.encode(images.numpy()), z)
    assert torch.equal(loaded.transform(z.numpy(), **options), moved)
    assert torch.equal(loaded.decode(moved), run.decode(moved))
    assert loaded.settings == run.settings
    assert loaded.transform(z[:0]).shape == (0, 12)


def test_the_folder_holds_what_was_promised(runs):
    run = runs["equivariant"]
    files = {str(path.relative_to(run.folder)) for path in run.folder.rglob("*") if path.is_file()}
    promised = {"config.json", "metrics.csv", "metrics.json", "checkpoints/last.pth", "checkpoints/model.pth"}
    assert promised <= files
    with (run.folder / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    terms = ["loss", "reconstruction", "kl", "latent", "cosine"]
    assert list(row) == ["epoch", *terms, "seconds", "images_per_second"]
    assert float(row["loss"]) == pytest.approx(float(row["reconstruction"]) + 0.2 * float(row["kl"]), rel=1e-4)
    assert [run.metrics[term] for term in terms] == [float(row[term]) for term in terms]
    assert run.metrics["operator_parameters"] == 12 * 12
    assert run.metrics["parameters"] == 12 * 12 + sum(p.numel() for p in run.model.parameters())
    plain = json.loads((run.folder / "config.json").read_text())
    assert plain.pop("system") == "rotation"
    assert len(plain.pop("data")) == 64
    assert plain.pop("source") == {}
    assert RotationConfig.from_dict(plain) == run.settings


@pytest.mark.parametrize("config", [CONFIG, FROZEN])
def test_configurations_travel_through_json(config):
    assert RotationConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_frozen_vae_stays_as_it_was_trained(tmp_path, images):
    run = train_rotation(images, FROZEN, tmp_path / "run", source={"data": "bars"})
    alone = latentcore.load_run(run.folder / "vae")
    trained = load_vae(run.folder / "vae" / "checkpoints" / "model.pth")
    for model in (alone.model, trained):
        for name, value in model.state_dict().items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, run.model.state_dict()[name]), name
    assert torch.equal(alone.encode(images), run.encode(images))
    assert run.config["source"] == {"data": "bars"}
    with (run.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == FROZEN.train.epochs
    for row in rows:
        value = {term: float(row[term]) for term in ("loss", "reconstruction", "latent", "cosine")}
        expected = value["reconstruction"] + 0.1 * value["latent"] + 0.1 * value["cosine"]
        assert value["loss"] == pytest.approx(expected, rel=1e-4)
    # the VAE of one run serves another
    other = with_operator("equivariant", FROZEN)
    again = train_rotation(images, other, tmp_path / "other", vae=run.folder / "vae")
    assert torch.equal(again.encode(images), run.encode(images))
    assert (again.folder / "vae" / "metrics.csv").read_text() == (run.folder / "vae" / "metrics.csv").read_text()


def test_the_seed_sets_everything_and_the_callers_random_state_stays(runs, tmp_path, images):
    one = runs["transformer"]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    two = train_rotation(images / 255, one.settings, tmp_path / "run")  # floats that are rounded to the same bytes
    assert torch.equal(torch.get_rng_state(), state)
    assert two.config["data"] == one.config["data"]
    z = one.encode(images)
    assert torch.equal(two.encode(images), z)
    assert torch.equal(two.transform(z, 60.0), one.transform(z, 60.0))


# interruptions


def tensors(value, name=""):
    if isinstance(value, torch.Tensor):
        return {name: value}
    pairs = value.items() if isinstance(value, dict) else ()
    return {place: found for key, inner in pairs for place, found in tensors(inner, f"{name}.{key}").items()}


def assert_same_end(folder, other):
    for part in ("", "vae"):
        one, two = (
            tensors(torch.load(run / part / "checkpoints" / "last.pth", weights_only=True)) for run in (folder, other)
        )
        assert one.keys() == two.keys()
        assert [name for name in one if not torch.equal(one[name], two[name])] == []


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return train_rotation(bars(), FROZEN, tmp_path_factory.mktemp("undisturbed") / "run").folder


class After:
    """Calls a function in a forward pass of a kind of model, the one with this number."""

    def __init__(self, kind, passes, function):
        self.kind, self.left, self.function = kind, passes, function

    def __call__(self, module, inputs, outputs):
        self.left -= type(module) is self.kind
        if not self.left and type(module) is self.kind:
            self.function()


# of 6 steps an epoch: before the first checkpoint, in the first training, and in the second one
INTERRUPTIONS = [(VAE, 2), (VAE, 16), (TransformingVAE, 3), (TransformingVAE, 15)]


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("kind", "passes"), INTERRUPTIONS)
def test_a_run_goes_on_after_ctrl_c(tmp_path, images, undisturbed, kind, passes):
    handle = register_module_forward_hook(After(kind, passes, interrupt))
    first = (kind, passes) == INTERRUPTIONS[0]
    try:
        with pytest.raises(KeyboardInterrupt, match="before the first checkpoint" if first else "--resume .*run"):
            train_rotation(images, FROZEN, tmp_path / "run")
    finally:
        handle.remove()
    assert not list((tmp_path / "run").rglob(".*"))
    run = resume_rotation(tmp_path / "run", images)
    assert_same_end(run.folder, undisturbed)
    with (run.folder / "metrics.csv").open() as file, (undisturbed / "metrics.csv").open() as expected:
        rows, wanted = ([row["loss"] for row in csv.DictReader(lines)] for lines in (file, expected))
    assert rows == wanted
    seconds = json.loads((run.folder / "metrics.json").read_text())["seconds"]
    assert 0 < seconds < 60


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import test_rotation
test_rotation.die(Path(sys.argv[1]), int(sys.argv[3]))
"""


def die(folder, number):
    register_module_forward_hook(After(*INTERRUPTIONS[number], lambda: os.kill(os.getpid(), signal.SIGKILL)))
    if folder.exists():
        resume_rotation(folder, bars())
    else:
        train_rotation(bars(), FROZEN, folder)


def test_a_killed_process_leaves_whole_checkpoints_to_resume_from(tmp_path, images, undisturbed):
    folder = tmp_path / "run"
    for number in (1, 3):
        arguments = [sys.executable, "-c", SCRIPT, str(folder), str(Path(__file__).parent), str(number)]
        killed = subprocess.run(arguments, stderr=subprocess.PIPE, text=True)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (folder / "metrics.csv").exists()
    resume_rotation(folder, images)
    assert_same_end(folder, undisturbed)
    # a finished run stays as it is
    before = (folder / "metrics.csv").read_text()
    resume_rotation(folder, images)
    assert (folder / "metrics.csv").read_text() == before


def test_what_a_run_began_with(runs, images):
    run = runs["step"]
    with pytest.raises(ValueError, match=r"images: expected the data with which .* began"):
        resume_rotation(run.folder, images.flip(2))
    with pytest.raises(ValueError, match="images: expected the data"):
        resume_rotation(run.folder, images[:-1])
    with pytest.raises(ValueError, match="run_dir: expected a folder without a run"):
        train_rotation(images, run.settings, run.folder)
    with pytest.raises(FileNotFoundError):
        resume_rotation(run.folder / "nowhere", images)


# errors


@pytest.mark.parametrize(
    ("kind", "call", "error", "message"),
    [
        ("equivariant", {"angle": float("nan")}, ValueError, "angle: expected finite numbers"),
        ("equivariant", {"angle": float("inf")}, ValueError, "angle: expected finite numbers"),
        ("equivariant", {"angle": [30.0, float("nan"), 0.0]}, ValueError, "angle: expected finite numbers"),
        ("equivariant", {"angle": [30.0, 60.0]}, ValueError, r"angle: expected a number or shape \(3,\), got \(2,\)"),
        ("equivariant", {"angle": torch.zeros(3, 1)}, ValueError, r"angle: expected a number or shape \(3,\)"),
        ("equivariant", {"angle": "right"}, TypeError, "angle: expected a number, or one for each latent, got str"),
        ("equivariant", {"angle": None}, TypeError, "angle: expected a number"),
        ("equivariant", {"scale": 1.1}, ValueError, "this run has learned no scales"),
        ("mlp", {"translate": (0.0, 1.0)}, ValueError, "this run has learned no translations"),
        ("equivariant", {"scale": 0.0}, ValueError, "scale: expected numbers above 0, got 0"),
        ("zoom", {"scale": 0.0}, ValueError, "scale: expected numbers above 0, got 0"),
        ("zoom", {"scale": [1.0, 1.0, -2.0]}, ValueError, "scale: expected numbers above 0, got -2"),
        ("zoom", {"scale": 1e-60}, ValueError, "scale: expected numbers above 0"),
        ("zoom", {"scale": 1e60}, ValueError, "scale: expected finite numbers"),
        ("zoom", {"translate": (0.0, float("nan"))}, ValueError, r"translate\[1\]: expected finite numbers"),
        ("zoom", {"translate": 2.0}, ValueError, r"translate: expected a pair \(right, down\)"),
        ("zoom", {"translate": (1.0, 2.0, 3.0)}, ValueError, r"translate: expected a pair \(right, down\)"),
        ("zoom", {"angle": 30.0}, ValueError, "angle: expected 0: this run has learned no rotations"),
        ("step", {"angle": 45.0}, ValueError, "angle: expected multiples of 30 degrees"),
        ("step", {"angle": [30.0, 60.0, 61.0]}, ValueError, "angle: expected multiples of 30 degrees"),
        ("equivariant", {"z": torch.zeros(3, 11)}, ValueError, r"z: expected shape \(N, 12\), got \(3, 11\)"),
        ("equivariant", {"z": torch.zeros(12)}, ValueError, r"z: expected shape \(N, 12\)"),
        ("equivariant", {"z": torch.full((3, 12), float("nan"))}, ValueError, "z: expected finite numbers"),
        ("equivariant", {"z": [[0.0] * 12]}, TypeError, "z: expected a NumPy array or a torch.Tensor"),
    ],
)
def test_wrong_transformations(runs, kind, call, error, message):
    with pytest.raises(error, match=message):
        runs[kind].transform(**{"z": torch.zeros(3, 12), **call})


def test_possible_angles(runs):
    assert runs["step"].possible([0, 15, 30.0, 359, -60]) == [0, 30.0, -60]
    assert runs["mlp"].possible([0, 15]) == [0, 15]
    assert runs["mlp"].rotates
    assert not runs["zoom"].rotates
    for angle in runs["step"].possible([-720, 1e6, 90]):
        assert runs["step"].transform(torch.zeros(1, 12), angle).isfinite().all()


def test_steps_that_binary_numbers_round(tmp_path, images):
    pairs = PairsConfig(angles=(0.0, 1.2, 2.4))
    settings = dataclasses.replace(with_operator("step", CONFIG, step=1.2), pairs=pairs)
    run = train_rotation(images, dataclasses.replace(settings, train=dataclasses.replace(TRAIN, epochs=1)), tmp_path)
    z = run.encode(images[:3])
    for times in range(1, 30):
        run.transform(z, times * 1.2)
    with pytest.raises(ValueError, match=r"angle: expected multiples of 1\.2 degrees"):
        run.transform(z, 1.3)


def test_a_system_that_does_not_classify(runs, images):
    with pytest.raises(TypeError, match=r"'rotation' .* does not classify"):
        runs["mlp"].classify(images)


@pytest.fixture
def copied(runs, tmp_path):
    """A run folder to be damaged."""
    source = runs["mlp"].folder
    for name in ("config.json", "checkpoints/model.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((source / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"operator": {"model": "equivariant"}}, r"model\.pth: expected a state dict of the configured Trans"),
        ({"operator": {"model": "spin"}}, r"operator\.model: expected one of"),
        ({"vae": {"latent": "12"}}, r"vae\.latent: expected an int"),
        ({"vae": None}, "vae: expected a mapping"),
        ({"system": "classifier"}, "resnet: expected a mapping"),
        ({"system": "vae"}, r"model\.pth: expected a state dict of the configured VAE"),
        ({"turns": 5}, "turns: expected a field among"),
        ({"pairs": {"scale": [0.5, 1.5]}, "operator": {}}, "pairs: expected scale .* only rotates"),
    ],
)
def test_damaged_configurations(copied, change, message):
    path = copied / "config.json"
    latentcore.load_run(copied)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises((ValueError, TypeError), match=message):
        latentcore.load_run(copied)


def test_damaged_weights(copied, images):
    path = copied / "checkpoints" / "model.pth"
    state = torch.load(path, weights_only=True)
    spoiled = next(name for name in state if name.startswith("operator."))
    torch.save(state | {spoiled: state[spoiled] * float("nan")}, path)
    with pytest.raises(ValueError, match=f"{spoiled}: expected finite numbers"):
        latentcore.load_run(copied)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"model\.pth: expected a whole file"):
        latentcore.load_run(copied)
    (copied / "config.json").write_text(json.dumps({"system": "few-label"}))
    with pytest.raises(ValueError, match="a run of the system 'rotation', got one of 'few-label'"):
        resume_rotation(copied, images)


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"pairs": PairsConfig(translate=1.0)}, ValueError, r"RotationConfig\.pairs: expected .*'equivariant' only"),
        ({"pairs": PairsConfig(canvas=20)}, ValueError, r"RotationConfig\.vae\.image_shape: expected the canvas, 20"),
        ({"operator": LatentConfig(model="step", step=45.0)}, ValueError, "step: expected a divisor of 30 degrees"),
        (
            {"operator": LatentConfig(model="step"), "pairs": PairsConfig(angles=(0.0, 45.0))},
            ValueError,
            "angles: expected multiples of the step, 30 degrees",
        ),
        (
            {"operator": LatentConfig(model="step"), "pairs": PairsConfig(angles=())},
            ValueError,
            "angles: expected multiples of the step",
        ),
        ({"loss": TransformationLoss(image=0.0, latent=1.0)}, ValueError, r"RotationConfig\.loss: expected a weight"),
        ({"vae_train": 3}, TypeError, r"RotationConfig\.vae_train: expected"),
    ],
)
def test_wrong_configurations(fields, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(CONFIG, **fields)


ON_CANVAS = dataclasses.replace(
    CONFIG, vae=dataclasses.replace(CONFIG.vae, image_shape=(1, 16, 16)), pairs=PairsConfig(canvas=16)
)
UPRIGHT = dataclasses.replace(CONFIG, pairs=PairsConfig(upright_labels=(1,)))


@pytest.mark.parametrize(
    ("config", "spoil", "error", "message"),
    [
        (CONFIG, lambda x: x[:0], ValueError, "images: expected at least one image"),
        (CONFIG, lambda x: x[:, :5], ValueError, r"images: expected shape \(N, 12, 12\)"),
        (CONFIG, lambda x: x / 255 * float("nan"), ValueError, "images: expected values in"),
        (CONFIG, lambda x: x.int(), TypeError, "images: expected uint8"),
        (ON_CANVAS, lambda x: x[:, None].expand(-1, 3, 12, 12), ValueError, "images: expected 1 channels"),
        (ON_CANVAS, lambda x: torch.cat([x, x], 2), ValueError, "images: expected .* at most 16 pixels"),
        (UPRIGHT, lambda x: x, ValueError, "labels: expected a label for every image"),
    ],
)
def test_bad_input_leaves_no_folder(tmp_path, images, config, spoil, error, message):
    with pytest.raises(error, match=message):
        train_rotation(spoil(images), config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_canvas(tmp_path, images):
    config = dataclasses.replace(ON_CANVAS, train=dataclasses.replace(TRAIN, epochs=1))
    run = train_rotation(images, config, tmp_path)
    assert run.decode(run.transform(run.encode(torch.zeros(2, 16, 16)), 77.0)).shape == (2, 1, 16, 16)
