import dataclasses
import json

import pytest
import torch
from rotations import CONFIG, TRAIN, bars, trained, with_operator

import latentcore
from latentcore import resume, systems
from latentcore.models import LatentConfig
from latentcore.systems.rotation.config import PairsConfig, TransformationWeights
from latentcore.training import driver


@pytest.fixture
def images():
    return bars()


def test_what_a_run_began_with(rotation_runs, images):
    run = rotation_runs["step"]
    with pytest.raises(ValueError, match=r"data: expected the data with which .* began"):
        resume(run.folder, images.flip(2))
    with pytest.raises(ValueError, match="data: expected the data"):
        resume(run.folder, images[:-1])
    with pytest.raises(ValueError, match="run_dir: expected a folder without a run"):
        trained(images, run.config, run.folder)
    with pytest.raises(FileNotFoundError):
        resume(run.folder / "nowhere", images)


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
def test_wrong_transformations(rotation_runs, kind, call, error, message):
    with pytest.raises(error, match=message):
        rotation_runs[kind].transform(**{"z": torch.zeros(3, 12), **call})


def test_possible_angles(rotation_runs):
    assert rotation_runs["step"].possible([0, 15, 30.0, 359, -60]) == [0, 30.0, -60]
    assert rotation_runs["mlp"].possible([0, 15]) == [0, 15]
    assert rotation_runs["mlp"].rotates
    assert not rotation_runs["zoom"].rotates
    for angle in rotation_runs["step"].possible([-720, 1e6, 90]):
        assert rotation_runs["step"].transform(torch.zeros(1, 12), angle).isfinite().all()


def test_steps_that_binary_numbers_round(tmp_path, images):
    pairs = PairsConfig(angles=(0.0, 1.2, 2.4))
    settings = dataclasses.replace(with_operator("step", CONFIG, step=1.2), pairs=pairs)
    run = trained(images, dataclasses.replace(settings, train=dataclasses.replace(TRAIN, epochs=1)), tmp_path)
    z = run.encode(images[:3])
    for times in range(1, 30):
        run.transform(z, times * 1.2)
    with pytest.raises(ValueError, match=r"angle: expected multiples of 1\.2 degrees"):
        run.transform(z, 1.3)


def test_a_system_that_does_not_classify(rotation_runs, images):
    with pytest.raises(TypeError, match=r"'rotation' .* does not classify"):
        rotation_runs["mlp"].classify(images)


@pytest.fixture
def copied(rotation_runs, tmp_path):
    """A run folder to be damaged."""
    source = rotation_runs["mlp"].folder
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
        ({"system": "gan"}, "digits: expected a field among gan, loss, train"),
        ({"digits": "12"}, r"digits: expected a list"),
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


def test_damaged_weights(copied):
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
        driver.resume(systems.find("rotation"), copied, None)


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
        (
            {"loss": TransformationWeights(image=0.0, latent=1.0)},
            ValueError,
            r"RotationConfig\.loss: expected a weight",
        ),
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
        trained(spoil(images), config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_vae_alone_stops_early_by_validation_data_or_not_at_all(tmp_path, images):
    config = dataclasses.replace(CONFIG, vae_train=dataclasses.replace(TRAIN, early_stop=3))
    with pytest.raises(ValueError, match=r"TrainConfig\.early_stop: expected 0 without validation data \(.*, got 3"):
        trained(images, config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_digits_want_labels(tmp_path, images):
    config = dataclasses.replace(CONFIG, digits=(1,))
    with pytest.raises(ValueError, match="labels: expected a label for every image, for the sake of digits, got none"):
        trained(images, config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_canvas(tmp_path, images):
    config = dataclasses.replace(ON_CANVAS, train=dataclasses.replace(TRAIN, epochs=1))
    run = trained(images, config, tmp_path)
    assert run.decode(run.transform(run.encode(torch.zeros(2, 16, 16)), 77.0)).shape == (2, 1, 16, 16)
