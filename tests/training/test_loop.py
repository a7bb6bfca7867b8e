import csv
import dataclasses
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from torch.nn.modules.module import register_module_forward_hook

from killed import endings
from latentcore import _config
from latentcore._native import flush_denormals
from latentcore.models import VAE, Autoencoder, AutoencoderConfig, MLPConfig, VAEConfig, load_vae
from latentcore.training import Augmentation, TrainConfig, create_run, fit
from latentcore.training.loop import flushed_denormals

SHAPE = {"image_shape": (1, 12, 12), "network": MLPConfig(hidden=(16,), decoder_hidden=(16,))}
VAE_CONFIG = VAEConfig(**SHAPE | {"network": dataclasses.replace(SHAPE["network"], normalisation="batch")})
# everything that has a state or a schedule is on
CONFIG = TrainConfig(
    epochs=6,
    batch_size=32,
    learning_rate=5e-3,
    schedule="one-cycle",
    gradient_clip=50.0,
    beta_warmup=0.3,
    augmentation=Augmentation(degrees=5, translate=1, scale=0.05, shear=5, full_until=0.2, zero_from=0.8),
    reconstruct="augmented",
    freeze_normalisation_at=0.7,
    device="cpu",
)


def build():
    torch.manual_seed(0)
    return VAE(VAE_CONFIG)


def train(folder, images, config=CONFIG, model=None, **options):
    model = model or build()
    if not (folder / "config.json").exists():
        create_run("vae", {"vae": _config.to_plain(VAE_CONFIG), "train": config.to_dict()}, folder)
    return model, fit(model, images, config, folder, **options)


def tensors(path):
    """Every tensor of a checkpoint, by its place."""
    found = {}

    def walk(value, name):
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, f"{name}.{key}")

    walk(torch.load(path, weights_only=True), "")
    return found


def assert_same_end(folder, other):
    one, two = (tensors(run / "checkpoints" / "last.pth") for run in (folder, other))
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_the_loss_falls_and_is_logged(tmp_path, images):
    _, history = train(tmp_path, images)
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == list(range(6))
    assert {"loss", "reconstruction", "kl", "seconds", "images_per_second"} <= rows[0].keys()
    assert float(rows[-1]["loss"]) == history[-1]["loss"]
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))


def test_the_terms_are_without_beta(tmp_path, images):
    config = dataclasses.replace(CONFIG, epochs=1, beta=0.5, beta_warmup=0.0)
    (row,) = train(tmp_path, images, config)[1]
    assert row["loss"] == pytest.approx(row["reconstruction"] + 0.5 * row["kl"], rel=1e-5)


def test_the_same_seed_gives_the_same_bits(tmp_path, images):
    train(tmp_path / "one", images)
    torch.manual_seed(99)
    train(tmp_path / "two", images, model=build())
    assert_same_end(tmp_path / "one", tmp_path / "two")


def test_another_seed_gives_another_model(tmp_path, images):
    one, _ = train(tmp_path / "one", images)
    two, _ = train(tmp_path / "two", images, dataclasses.replace(CONFIG, seed=1))
    assert not torch.equal(one.encoder[1].weight, two.encoder[1].weight)


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_a_resumed_run_ends_bitwise_like_an_undisturbed_one(tmp_path, images, schedule):
    config = dataclasses.replace(CONFIG, schedule=schedule)
    _, undisturbed = train(tmp_path / "one", images, config)

    class InterruptionError(Exception):
        pass

    # an interruption in the middle of the fifth epoch
    model, steps = build(), 0

    def interrupt(module, inputs, outputs):
        nonlocal steps
        steps += 1
        if steps == 4 * 9 + 5:
            raise InterruptionError

    handle = model.decoder.register_forward_hook(interrupt)
    with pytest.raises(InterruptionError):
        train(tmp_path / "two", images, config, model)
    handle.remove()
    fresh, resumed = train(tmp_path / "two", images, config, VAE(VAE_CONFIG), resume=True)
    assert_same_end(tmp_path / "one", tmp_path / "two")
    assert [row["loss"] for row in resumed] == [row["loss"] for row in undisturbed]
    assert torch.equal(fresh.encoder[1].weight, load_vae(tmp_path / "one/checkpoints/model.pth").encoder[1].weight)


def test_resuming_a_finished_run_changes_nothing(tmp_path, images):
    train(tmp_path, images)
    before = (tmp_path / "metrics.csv").read_text()
    model, history = train(tmp_path, images, model=VAE(VAE_CONFIG), resume=True)
    assert len(history) == 6
    assert (tmp_path / "metrics.csv").read_text() == before
    assert not model.training


# where a training is ended, in its third epoch of nine steps, and by what
ENDS = {"step": signal.SIGKILL, "half a checkpoint": signal.SIGKILL, "half of another": signal.SIGINT}


def train_until_killed(folder, images, place):
    """Ends in a step, or when half of a checkpoint is written."""
    steps, write = 0, Path.write_bytes

    def count(module, inputs, outputs):
        nonlocal steps
        steps += type(module) is VAE
        if steps == 2 * 9 + 4 and place == "step":
            os.kill(os.getpid(), ENDS[place])

    def write_half(self, content):
        half = len(content) // 2
        if steps < 3 * 9 or "last" not in self.name or place == "step":
            return write(self, content)
        with self.open("wb") as file:
            file.write(content[:half])
            file.flush()
            os.kill(os.getpid(), ENDS[place])
            return half + file.write(content[half:])

    Path.write_bytes = write_half
    register_module_forward_hook(count)
    train(Path(folder), torch.load(images, weights_only=True))


def train_until_all_are_killed(folder, images):
    torch.save(images, folder / "images.pt")
    codes, said = endings(train_until_killed, *((folder / place, folder / "images.pt", place) for place in ENDS))
    assert codes == [-end for end in ENDS.values()], said
    assert said.rstrip().endswith("KeyboardInterrupt")  # which came last


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("place", ENDS)
def test_a_killed_process_leaves_a_whole_checkpoint_to_resume_from(tmp_path, images, once, place):
    run = tmp_path / "run"
    shutil.copytree(once("killed", lambda folder: train_until_all_are_killed(folder, images)) / place, run)
    assert len(torch.load(run / "checkpoints" / "last.pth", weights_only=True)["history"]) == 2
    load_vae(run / "checkpoints" / "model.pth")
    if ENDS[place] == signal.SIGINT:
        assert not list(run.rglob(".*"))
    threads = torch.get_num_threads()
    train(run, images, model=VAE(VAE_CONFIG), resume=True)
    train(tmp_path / "undisturbed", images)
    assert torch.get_num_threads() == threads
    assert_same_end(run, tmp_path / "undisturbed")


def test_early_stop_keeps_the_best_model(tmp_path, images):
    # so high a rate, without warm-up, that the loss soon stops falling
    config = dataclasses.replace(
        CONFIG, epochs=50, early_stop=2, learning_rate=0.05, schedule="constant", augmentation=Augmentation()
    )
    model, history = train(tmp_path, images[:270], config, validation=images[270:])
    losses = [row["validation_loss"] for row in history]
    best = losses.index(min(losses))
    assert len(history) == best + 3 < 50
    again, _ = train(tmp_path / "short", images[:270], dataclasses.replace(config, epochs=50), validation=images[270:])
    assert torch.equal(model.encoder[1].weight, again.encoder[1].weight)
    last = torch.load(tmp_path / "checkpoints" / "last.pth", weights_only=True)["model"]
    assert not torch.equal(model.state_dict()["encoder.1.weight"], last["encoder.1.weight"])


def test_frozen_normalisation_keeps_its_statistics(tmp_path, images):
    model, _ = train(tmp_path / "one", images, dataclasses.replace(CONFIG, freeze_normalisation_at=0.0))
    assert model.encoder[2].num_batches_tracked == 0
    model, _ = train(tmp_path / "two", images, dataclasses.replace(CONFIG, freeze_normalisation_at=0.5))
    assert model.encoder[2].num_batches_tracked == 3 * 9


def test_an_autoencoder_trains_without_kl(tmp_path, images):
    config = dataclasses.replace(CONFIG, reconstruct="clean")
    _, history = train(tmp_path, images, config, Autoencoder(AutoencoderConfig(**SHAPE)))
    assert history[-1]["reconstruction"] < history[0]["reconstruction"]
    assert all(row["kl"] == 0 for row in history)


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
def test_float_images_train_like_uint8(tmp_path, images, likelihood):
    config = dataclasses.replace(CONFIG, augmentation=Augmentation(), epochs=2)
    losses = []
    for number, data in enumerate((images, images / 255, (images / 255).numpy()[:, None])):
        torch.manual_seed(0)
        model = VAE(VAEConfig(**SHAPE, likelihood=likelihood))
        losses.append(train(tmp_path / str(number), data, config, model)[1][-1]["loss"])
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)


def test_bfloat16_trains(tmp_path, images):
    _, history = train(tmp_path, images, dataclasses.replace(CONFIG, precision="bf16-mixed"))
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]


def test_a_checkpoint_of_another_configuration_model_or_data_set(tmp_path, images):
    train(tmp_path, images)
    with pytest.raises(ValueError, match=r"TrainConfig\.beta: expected 1\.0, as in .*, got 2\.0"):
        train(tmp_path, images, dataclasses.replace(CONFIG, beta=2.0), resume=True)
    with pytest.raises(ValueError, match="images: expected the 300 images"):
        train(tmp_path, images[:200], resume=True)
    other = VAE(
        VAEConfig(image_shape=(1, 12, 12), network=MLPConfig(hidden=(8,), decoder_hidden=(16,), normalisation="batch"))
    )
    with pytest.raises(ValueError, match=r"last\.pth: expected a state dict of the configured VAE"):
        train(tmp_path, images, model=other, resume=True)
    (tmp_path / "checkpoints" / "last.pth").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"last\.pth: expected a whole file"):
        train(tmp_path, images, resume=True)


def test_a_checkpoint_without_a_field(tmp_path, images):
    (tmp_path / "checkpoints").mkdir()
    torch.save({"model": {}}, tmp_path / "checkpoints" / "last.pth")
    with pytest.raises(ValueError, match="none of 'optimizer'"):
        train(tmp_path, images, resume=True)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ({"history": 5}, r"history: expected a list, got int"),
        ({"history": [{"a": 1}]}, "history: expected rows with numbers for epoch, loss"),
        ({"config": [1]}, "config: expected a dict, got list"),
        ({"model": None}, r"last\.pth: expected a state dict, got NoneType"),
        ({"optimizer": []}, "expected the optimiser's state"),
    ],
)
def test_a_checkpoint_with_a_damaged_field(tmp_path, images, spoiled, message):
    train(tmp_path, images)
    path = tmp_path / "checkpoints" / "last.pth"
    torch.save(torch.load(path, weights_only=True) | spoiled, path)
    with pytest.raises(ValueError, match=message):
        train(tmp_path, images, resume=True)


@pytest.mark.parametrize("epochs", [1, 2, 5, 6])
def test_short_schedules(tmp_path, images, epochs):
    config = dataclasses.replace(CONFIG, epochs=epochs, batch_size=300, schedule="one-cycle", pct_start=1 / epochs)
    assert len(train(tmp_path, images, config)[1]) == epochs


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda x: x[:0], ValueError, "images: expected at least one image"),
        (lambda x: x[:, :5], ValueError, r"images: expected shape \(N, 12, 12\)"),
        (lambda x: x.int(), TypeError, "images: expected uint8"),
        (lambda x: x / 1.0, ValueError, r"images: expected values in \[0, 1\], got values from 0 to 2"),
        (lambda x: x / 255 * float("nan"), ValueError, "nan"),
        (lambda x: "images", TypeError, "images: expected a NumPy array or a torch.Tensor, got str"),
    ],
)
def test_bad_images(tmp_path, images, spoil, error, message):
    with pytest.raises(error, match=message):
        train(tmp_path, spoil(images))


def test_an_unknown_model(tmp_path, images):
    with pytest.raises((TypeError, AttributeError)):
        fit(torch.nn.Linear(3, 3), images, CONFIG, tmp_path)


@pytest.mark.parametrize("before", [False, True])
def test_denormals_are_flushed_only_inside(before):
    small = torch.full((1 << 17,), 1e-30)  # enough for all threads

    def flushed():
        return {bool(product == 0) for product in (small * 1e-10).unique()}

    flush_denormals(before)
    try:
        with flushed_denormals():
            assert flushed() == {True}
        assert flushed() == {before}
    finally:
        flush_denormals(False)
