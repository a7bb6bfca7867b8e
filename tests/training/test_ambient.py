"""What a caller has told torch for all its work changes nothing of a training, and is as it was afterwards."""

import dataclasses

import pytest
import torch
from first_steps import TRAININGS, brief, gradients_of_first_steps, images

from ambient import STATES, state
from depth import few
from latentcore import load_run
from latentcore.models import VAE, MLPConfig, VAEConfig
from latentcore.training import TrainConfig, fit


@pytest.mark.parametrize("name", STATES)
def test_a_fit_is_the_same(name, tmp_path, images):
    def fitted(folder):
        folder.mkdir()
        config = TrainConfig(epochs=2, batch_size=16, ema=0.9, device="cpu")
        return fit(model, images[:64], config, folder, validation=images[64:80])[-1]["validation_loss"]

    def model_of():
        torch.manual_seed(0)
        return VAE(
            VAEConfig(
                image_shape=(1, 12, 12), network=MLPConfig(hidden=(8,), decoder_hidden=(8,), normalisation="batch")
            )
        )

    model = model_of()
    expected = fitted(tmp_path / "usual")
    model = model_of()
    with STATES[name]():
        before = state()
        assert fitted(tmp_path / "inside") == expected
        assert state() == before
    model = model_of().double()  # as somebody makes it under torch.set_default_dtype
    assert fitted(tmp_path / "double") == expected


def test_a_model_of_inference_mode_is_refused(tmp_path, images):
    with torch.inference_mode():
        model = VAE(VAEConfig(image_shape=(1, 12, 12), network=MLPConfig(hidden=(8,))))
    with pytest.raises(ValueError, match=r"model: expected parameters that were made outside torch.inference_mode"):
        fit(model, images, TrainConfig(epochs=1), tmp_path)


SYSTEMS = {name.partition(":")[0]: name for name in reversed(TRAININGS)}


@pytest.mark.parametrize("name", few(STATES, 3))
@pytest.mark.parametrize("system", SYSTEMS)
def test_each_systems_training_is_the_same(system, name, tmp_path):
    expected = gradients_of_first_steps(SYSTEMS[system], "32-true", tmp_path / "usual")
    with STATES[name]():
        found = gradients_of_first_steps(SYSTEMS[system], "32-true", tmp_path / "inside")
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def autoencoder(run):
    return [run.encode(SHOWN), run.decode(run.encode(SHOWN)), run.reconstruct(SHOWN), run.sample(3)]


def classifier(run):
    return [run.classify(SHOWN), run.predict_proba(SHOWN), run.features(SHOWN)]


def gan(run):
    return [run.sample(3), run.decode(torch.ones(2, run.model.config.latent, device="cpu"))]


SHOWN = images((1, 28, 28))


@pytest.mark.parametrize("name", few(STATES, 3))
@pytest.mark.parametrize("use", [autoencoder, classifier, gan])
def test_each_runs_methods_say_the_same(use, name, tmp_path):
    train, config = TRAININGS[SYSTEMS[use.__name__]]
    train(dataclasses.replace(config, train=brief(config.train, "32-true")), tmp_path / "run")
    expected = use(load_run(tmp_path / "run"))
    with STATES[name]():
        before = state()
        found = use(load_run(tmp_path / "run"))
        assert state() == before
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
