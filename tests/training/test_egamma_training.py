"""The classifier of electrons and photons: its events, its training, its runs."""

import dataclasses
import json
import os
import signal

import h5py
import numpy as np
import pytest
import torch
from killed import endings

from latentcore.data.egamma import EgammaFiles, blocks
from latentcore.models import EventClassifier, ResNetConfig
from latentcore.models.objectives import Discrimination
from latentcore.training import Augmentation, TrainConfig, gradients, load_run
from latentcore.training.config import TrainConfig as Config
from latentcore.training.egamma import EgammaConfig, resume_egamma, train_egamma
from latentcore.training.events import StreamedEvents
from latentcore.training.parts import EventsConfig, divided
from latentcore.training.plan import Plan
from latentcore.training.presets import EGAMMA

CONFIG = EgammaConfig(
    ResNetConfig(image_shape=(2, 8, 8), classes=2, width=1 / 16, dropout=0.2),
    TrainConfig(
        epochs=4,
        batch_size=32,
        learning_rate=5e-3,
        ema=0.8,
        schedule="one-cycle",
        checkpoint_every=3,
        augmentation=Augmentation(mirror="xy"),
        channels_last=True,
    ),
    EventsConfig(validation=0.1, test=0.2, storage="resident"),
)
STREAMED = dataclasses.replace(CONFIG, events=dataclasses.replace(CONFIG.events, storage="streamed", window=100))


def write_events(path, count=600, seed=0, side=8, channels=2):
    """Electrons have a bright column, photons a bright cell; chunks are small."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(count) % 2)
    images = random.exponential(0.1, (count, side, side, channels)) * (random.random((count, side, side, 1)) < 0.3)
    images[:, side // 2, side // 2] += 1
    images[labels == 1, 2 : side - 1, side // 2] += 0.5
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=images.astype("f4"), chunks=(50, side, side, channels), compression="lzf")
        file["y"] = labels.astype("f4")
    return path


@pytest.fixture
def events(tmp_path, monkeypatch):
    """A file of 600 events; blocks are single chunks."""
    monkeypatch.setattr("latentcore.data.egamma.blocks._BLOCK", 1)
    return write_events(tmp_path / "events.h5")


def with_train(config=CONFIG, **fields):
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **fields))


def with_events(**fields):
    return dataclasses.replace(CONFIG, events=dataclasses.replace(CONFIG.events, **fields))


def weights(folder):
    return torch.load(folder / "checkpoints" / "model.pth", weights_only=True)


def assert_same_weights(one, two):
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("config", [CONFIG, STREAMED], ids=["resident", "streamed"])
def test_it_learns_and_its_run_says_the_same_again(events, tmp_path, config):
    run = train_egamma(events, with_train(config, epochs=8), tmp_path / "run")
    parts = run.parts()
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (420, 60, 120)
    found = parts.test_files.load(parts.test)
    assert float((run.classify(found.images) == found.labels).float().mean()) > 0.9
    again = load_run(tmp_path / "run")
    assert torch.equal(again.scores(found.images), run.scores(found.images))
    assert run.metrics["auc"] > 0.9
    assert {"seconds", "parameters", "events_per_second", "loss", "accuracy"} <= run.metrics.keys()
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert "validation_auc" in header
    assert "events_per_second" in header


def test_scores_take_events_as_they_lie_in_the_files(events, tmp_path):
    run = train_egamma(events, with_train(epochs=1), tmp_path / "run")
    with h5py.File(events) as file:
        raw = file["X"][:50]
    scores = run.scores(raw)
    assert torch.equal(scores, run.scores(torch.from_numpy(raw).permute(0, 3, 1, 2)))
    probabilities = run.predict_proba(raw)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(50, dtype=torch.float64))
    torch.testing.assert_close((probabilities[:, 1] / probabilities[:, 0]).log(), scores)
    streamed = torch.cat([found for _, found in run.stream_scores(EgammaFiles(events), np.arange(50))])
    torch.testing.assert_close(streamed, scores, rtol=1e-5, atol=1e-6)
    assert run.scores(raw[:0]).shape == (0,)


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        ([[1.0]], TypeError, "images: expected a NumPy array or a torch.Tensor, got list"),
        (np.zeros((3, 2, 9, 8)), ValueError, r"images: expected shape \(N, 2, 8, 8\), got \(3, 2, 9, 8\)"),
        (np.full((1, 2, 8, 8), np.nan), ValueError, "images: expected finite numbers"),
        (np.zeros((1, 2, 8, 8), bool), TypeError, "images: expected real numbers"),
    ],
)
def test_wrong_events_are_an_error(events, tmp_path, images, error, message):
    run = train_egamma(events, with_train(epochs=1), tmp_path / "run")
    with pytest.raises(error, match=message):
        run.scores(images)


def test_the_scaling_is_of_the_training_events_and_kept_with_the_weights(events, tmp_path):
    for how in ("standard", "nonzero", "maximum"):
        run = train_egamma(events, with_train(with_events(scaling=how), epochs=1), tmp_path / how)
        offset, factor = EgammaFiles(events).normalisation(run.parts().train).scaling(how)
        torch.testing.assert_close(run.model.offset, torch.tensor(offset))
        torch.testing.assert_close(run.model.factor, torch.tensor(factor))
        assert {"offset", "factor"} <= weights(tmp_path / how).keys()


def test_a_scaled_event_is_what_the_network_sees():
    model = EventClassifier(CONFIG.resnet).eval()
    events = torch.rand(3, 2, 8, 8)
    model.scale_by((0.5, 0.1), (2.0, 3.0))
    scaled = (events - torch.tensor([0.5, 0.1]).view(2, 1, 1)) * torch.tensor([2.0, 3.0]).view(2, 1, 1)
    torch.testing.assert_close(model(events), model.network(scaled))
    torch.testing.assert_close(model.features(events), model.network.features(scaled))


def test_parts_are_disjoint_and_have_the_same_share_of_electrons(events):
    parts = divided(events, None, EventsConfig())
    rows = [parts.train, parts.validation, parts.test]
    assert np.array_equal(np.sort(np.concatenate(rows)), np.arange(600))
    assert [parts.files.labels[part].mean() for part in rows] == pytest.approx([0.5] * 3)
    two = divided(events, None, EventsConfig(validation=0, test=0.2))
    assert (len(two.train), two.validation, len(two.test)) == (480, None, 120)


def test_a_test_file_of_its_own(events, tmp_path):
    other = write_events(tmp_path / "other.h5", 70, seed=1)
    parts = divided(events, [other], EventsConfig())
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (540, 60, 70)
    assert parts.test_files.files[0].path == other
    alone = divided(events, other, EventsConfig(validation=0))
    assert (len(alone.train), alone.validation) == (600, None)
    run = train_egamma(events, with_train(epochs=1), tmp_path / "run", test=other)
    assert len(load_run(tmp_path / "run").parts().test) == 70
    moved = other.rename(tmp_path / "moved.h5")
    with pytest.raises(FileNotFoundError, match=r"other\.h5"):
        run.parts()
    assert len(run.parts(test=moved).test) == 70


def test_a_stream_gives_the_plan_each_event_once(events):
    files = EgammaFiles(events)
    source = StreamedEvents(files, np.arange(0, 600, 2), seed=1, window=100)
    plan = Plan(TrainConfig(batch_size=32), source)
    seen = []
    for epoch in range(2):
        inputs, images = plan.inputs(epoch), []
        source.begin(epoch, 0, 32)
        for step in range(plan.steps):
            source.advance()
            batch, _ = source.batch(inputs.rows[step], None)
            images.append(batch)
        seen.append(torch.cat(images).flatten(1))
        assert len(seen[-1].unique(dim=0)) == 9 * 32
    assert not torch.equal(seen[0], seen[1])
    source.begin(1, 4, 32)
    source.advance()
    assert torch.equal(source.batch(inputs.rows[0], None)[0], images[4])


def test_a_stream_is_validated_in_the_order_of_the_files(events):
    files, rows = EgammaFiles(events), np.arange(3, 103)
    source = StreamedEvents(files, rows)
    source.begin(None, 0, 32)
    found = []
    for part in torch.arange(100).split(32):
        source.advance()
        found.append(source.batch(part[1::2], None))
    whole = files.load(rows)
    places = torch.cat([part[1::2] for part in torch.arange(100).split(32)])
    assert torch.equal(torch.cat([images for images, _ in found]), whole.images[places])
    assert torch.equal(torch.cat([labels for _, labels in found]), whole.labels[places])


KILLED = {"resident": with_train(CONFIG, epochs=4), "streamed": with_train(STREAMED, epochs=4)}


def train_until_killed(events, folder, name):
    """Ends in the eighth of the thirteen steps of the third epoch; a checkpoint is written after three and six."""
    calls, call = 0, Discrimination.__call__
    steps, batches_of_validation = 13, 2

    def counted(self, *arguments, **words):
        nonlocal calls
        calls += 1
        if calls == 2 * (steps + batches_of_validation) + 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, *arguments, **words)

    blocks._BLOCK = 1
    Discrimination.__call__ = counted
    train_egamma(events, KILLED[name], folder)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_runs_that_are_killed_within_an_epoch_go_on_to_the_same_weights(events, tmp_path, monkeypatch):
    codes, said = endings(train_until_killed, *((events, tmp_path / name, name) for name in KILLED))
    assert codes == [-signal.SIGKILL] * len(KILLED), said
    for name in KILLED:
        state = torch.load(tmp_path / name / "checkpoints" / "last.pth", weights_only=True)
        assert (len(state["history"]), state["step"]) == (2, 6)
        resume_egamma(tmp_path / name)
    monkeypatch.setattr(gradients, "_MANY", 10)  # the undisturbed runs replay a recorded step, where that can be
    for name, config in KILLED.items():
        train_egamma(events, config, tmp_path / f"{name}-undisturbed")
        assert_same_weights(tmp_path / name, tmp_path / f"{name}-undisturbed")


@pytest.mark.long
def test_it_stops_early_without_gain(events, tmp_path):
    config = with_train(epochs=50, early_stop=2, learning_rate=0.5, schedule="constant", ema=0.0)
    run = train_egamma(events, config, tmp_path / "run")
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    assert len(rows) - 1 < 50


def test_it_does_not_go_on_with_other_events(events, tmp_path):
    train_egamma(events, with_train(epochs=1), tmp_path / "run")
    other = write_events(tmp_path / "other.h5", seed=5)
    with pytest.raises(ValueError, match="paths or test: expected the data with which"):
        resume_egamma(tmp_path / "run", other)


def test_the_storage_is_settled_when_a_run_begins(events, tmp_path, monkeypatch):
    monkeypatch.setattr("latentcore.training.parts.available", lambda: 10**5)
    train_egamma(events, with_train(with_events(storage="auto"), epochs=1), tmp_path / "small")
    monkeypatch.setattr("latentcore.training.parts.available", lambda: 10**10)
    train_egamma(events, with_train(with_events(storage="auto"), epochs=1), tmp_path / "large")
    kept = [
        json.loads((tmp_path / name / "config.json").read_text())["events"]["storage"] for name in ("small", "large")
    ]
    assert kept == ["streamed", "resident"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EgammaConfig(ResNetConfig(classes=3)), r"ResNetConfig\.classes: expected 2"),
        (lambda: EventsConfig(validation=0.5, test=0.6), r"EventsConfig\.test: expected less than 0\.49"),
        (lambda: EventsConfig(scaling="log"), r"EventsConfig\.scaling: expected one of"),
        (
            lambda: with_train(augmentation=Augmentation(mirror="x", center=(15.0, 3.0))),
            r"Augmentation\.center: expected a point inside of 8 x 8 cells",
        ),
    ],
)
def test_wrong_configurations_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_errors_leave_no_run_behind(events, tmp_path):
    large = write_events(tmp_path / "large.h5", 60, side=9)
    with pytest.raises(ValueError, match=r"ResNetConfig\.image_shape: expected \(2, 9, 9\), as in the files"):
        train_egamma(large, CONFIG, tmp_path / "run")
    with pytest.raises(ValueError, match=r"test: expected events of shape \(2, 8, 8\)"):
        train_egamma(events, CONFIG, tmp_path / "run", test=large)
    with pytest.raises(ValueError, match=r"EventsConfig\.test: expected more than 0"):
        train_egamma(events, with_events(test=0.0), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_configuration_travels_through_json():
    config = EgammaConfig.from_dict(json.loads(json.dumps(CONFIG.to_dict())))
    assert config == CONFIG
    assert isinstance(config.train, Config)


def test_another_crop_is_mirrored_about_its_own_centre():
    chosen = EGAMMA.for_events((3, 40, 40))
    assert chosen.resnet.image_shape == (3, 40, 40)
    assert chosen.train.augmentation.center is None
    assert chosen.train.augmentation.mirror == "xy"
    assert EGAMMA.for_events((1, 32, 32)).train.augmentation.center == (15.0, 15.0)


def test_files_that_are_the_same_or_have_one_class_are_errors(events, tmp_path):
    copied = tmp_path / "copied.h5"
    copied.write_bytes(events.read_bytes())
    for paths, test in (([events, copied], None), (events, copied)):
        with pytest.raises(ValueError, match=r"copied\.h5: expected events that no other file has, got those of"):
            divided(paths, test, EventsConfig())
    with h5py.File(copied, "r+") as file:
        file["y"][...] = 1
    with pytest.raises(ValueError, match=r"events for test in .*: expected both electrons and photons, got 0 photons"):
        divided(events, copied, EventsConfig())


def test_a_mistake_in_the_test_events_is_found_before_the_training(events, tmp_path):
    other = write_events(tmp_path / "other.h5", 70, seed=1)
    with h5py.File(other, "r+") as file:
        file["X"][5, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"other\.h5: X: expected finite numbers, got NaN or infinity in row 5"):
        train_egamma(events, CONFIG, tmp_path / "run", test=other)
    with pytest.raises(ValueError, match=r"TrainConfig\.batch_size: expected at least 2 events"):
        train_egamma(events, with_train(batch_size=8, accumulate=8), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_judged_by_its_own_test_events(events, tmp_path):
    one, two = (write_events(tmp_path / f"{seed}.h5", 70, seed=seed) for seed in (1, 2))
    judged = train_egamma(events, with_train(epochs=1), tmp_path / "judged", test=one)
    with pytest.raises(ValueError, match="paths or test: expected the data with which"):
        judged.parts(test=two)
    own = train_egamma(events, with_train(epochs=1), tmp_path / "own")
    with pytest.raises(ValueError, match=r"test: expected none: .* is judged by events of its own files"):
        own.parts(test=one)


def test_a_run_without_a_finished_epoch_says_so(events, tmp_path):
    run = train_egamma(events, with_train(epochs=1), tmp_path / "run")
    (run.folder / "checkpoints" / "model.pth").unlink()
    with pytest.raises(FileNotFoundError, match="expected the model of a finished epoch, found none"):
        load_run(run.folder)


def test_the_loss_is_computed_in_the_precision_of_the_model(events, tmp_path, monkeypatch):
    seen, call = set(), Discrimination.__call__

    def spy(self, model, batch, **options):
        terms = call(self, model, batch, **options)
        seen.add(terms[0].dtype)
        return terms

    monkeypatch.setattr(Discrimination, "__call__", spy)
    train_egamma(events, with_train(epochs=1, precision="64-true"), tmp_path / "run")
    assert seen == {torch.float64}
    assert load_run(tmp_path / "run").model.offset.dtype == torch.float32
