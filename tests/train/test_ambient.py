"""What a caller has told torch for all its work changes nothing of a training, and is as it was afterwards."""

import contextlib

import pytest
import torch
from first_steps import TRAININGS, gradients_of_first_steps

from latentcore.models import VAE, VAEConfig
from latentcore.train import TrainConfig, fit


@contextlib.contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def state():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


@pytest.mark.parametrize("name", STATES)
def test_a_fit_is_the_same(name, tmp_path, images):
    def fitted(folder):
        folder.mkdir()
        config = TrainConfig(epochs=2, batch_size=16, ema=0.9, device="cpu")
        return fit(model, images[:64], config, folder, validation=images[64:80])[-1]["validation_loss"]

    def model_of():
        torch.manual_seed(0)
        return VAE(VAEConfig(image_shape=(1, 12, 12), hidden=(8,), decoder_hidden=(8,), normalisation="batch"))

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
        model = VAE(VAEConfig(image_shape=(1, 12, 12), hidden=(8,)))
    with pytest.raises(ValueError, match=r"model: expected parameters that were made outside torch.inference_mode"):
        fit(model, images, TrainConfig(epochs=1), tmp_path)


SYSTEMS = {name.partition(":")[0]: name for name in TRAININGS}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_each_systems_training_is_the_same(system, state, tmp_path):
    expected = gradients_of_first_steps(SYSTEMS[system], "32-true", tmp_path / "usual")
    with STATES[state]():
        found = gradients_of_first_steps(SYSTEMS[system], "32-true", tmp_path / "inside")
    for one, other in zip(found, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
