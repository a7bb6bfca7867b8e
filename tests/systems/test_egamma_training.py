"""The classifier of electrons and photons: its training, its runs."""

import os
import signal

import h5py
import numpy as np
import pytest
import torch
from small_events import CONFIG, STREAMED, with_events, with_train

from killed import endings
from latentcore import load_run, resume, train
from latentcore.data.egamma import EgammaFiles, blocks
from latentcore.models.objectives import Discrimination
from latentcore.training import gradients


def weights(folder):
    return torch.load(folder / "checkpoints" / "model.pth", weights_only=True)


def assert_same_weights(one, two):
    first, second = weights(one), weights(two)
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []


@pytest.mark.parametrize("config", [CONFIG, STREAMED], ids=["resident", "streamed"])
def test_it_learns_and_its_run_says_the_same_again(events, tmp_path, config):
    run = train("egamma", events, config=with_train(config, epochs=8), run_dir=tmp_path / "run")
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
    run = train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "run")
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


def test_the_scaling_is_of_the_training_events_and_kept_with_the_weights(events, tmp_path):
    for how in ("standard", "nonzero", "maximum"):
        run = train("egamma", events, config=with_train(with_events(scaling=how), epochs=1), run_dir=tmp_path / how)
        offset, factor = EgammaFiles(events).normalisation(run.parts().train).scaling(how)
        torch.testing.assert_close(run.model.offset, torch.tensor(offset))
        torch.testing.assert_close(run.model.factor, torch.tensor(factor))
        assert {"offset", "factor"} <= weights(tmp_path / how).keys()


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
    run = train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "run")
    with pytest.raises(error, match=message):
        run.scores(images)


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
    train("egamma", events, config=KILLED[name], run_dir=folder)


@pytest.mark.long
@pytest.mark.usefixtures("one_thread")
def test_runs_that_are_killed_within_an_epoch_go_on_to_the_same_weights(events, tmp_path, monkeypatch):
    codes, said = endings(train_until_killed, *((events, tmp_path / name, name) for name in KILLED))
    assert codes == [-signal.SIGKILL] * len(KILLED), said
    for name in KILLED:
        state = torch.load(tmp_path / name / "checkpoints" / "last.pth", weights_only=True)
        assert (len(state["history"]), state["step"]) == (2, 6)
        resume(tmp_path / name)
    monkeypatch.setattr(gradients, "_MANY", 10)  # the undisturbed runs replay a recorded step, where that can be
    for name, config in KILLED.items():
        train("egamma", events, config=config, run_dir=tmp_path / f"{name}-undisturbed")
        assert_same_weights(tmp_path / name, tmp_path / f"{name}-undisturbed")


@pytest.mark.long
def test_it_stops_early_without_gain(events, tmp_path):
    config = with_train(epochs=50, early_stop=2, learning_rate=0.5, schedule="constant", ema=0.0)
    run = train("egamma", events, config=config, run_dir=tmp_path / "run")
    rows = (run.folder / "metrics.csv").read_text().splitlines()
    assert len(rows) - 1 < 50


def test_a_run_without_a_finished_epoch_says_so(events, tmp_path):
    run = train("egamma", events, config=with_train(epochs=1), run_dir=tmp_path / "run")
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
    train("egamma", events, config=with_train(epochs=1, precision="64-true"), run_dir=tmp_path / "run")
    assert seen == {torch.float64}
    assert load_run(tmp_path / "run").model.offset.dtype == torch.float32
