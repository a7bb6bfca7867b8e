"""Models in files: tensors and a few words, never code."""

import os
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from latentcore import _checks, _config
from latentcore._tensors import load_tensors, save_tensors
from latentcore.models.autoencoder import Autoencoder, AutoencoderConfig
from latentcore.models.base import EncoderDecoder
from latentcore.models.networks import NetworkConfig
from latentcore.models.vae import VAE, VAEConfig

C = TypeVar("C", bound=NetworkConfig)
M = TypeVar("M", bound=EncoderDecoder)

_EXTRA = "_extra_state"


def save_vae(model: EncoderDecoder, path: str | os.PathLike[str]) -> None:
    """Write the state dict of a `VAE` or `Autoencoder`."""
    save_tensors(path, model.state_dict())


def load_vae(path: str | os.PathLike[str]) -> VAE:
    """Read a `VAE` that `save_vae` wrote; its layer sizes are found from the tensors.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged, holds code, or is of another model.
    """
    return model_from_state(load_tensors(path), str(path), VAE, VAEConfig)


def load_autoencoder(path: str | os.PathLike[str]) -> Autoencoder:
    """Read an `Autoencoder` as `load_vae` reads a VAE."""
    return model_from_state(load_tensors(path), str(path), Autoencoder, AutoencoderConfig)


def model_from_state(state: dict[str, Any], name: str, kind: type[M], config_kind: type[C]) -> M:
    """Build a model of `kind` in evaluation mode from a state dict; `name` is the file's, for messages."""
    _check_tensors(state, name)
    words = state.get(_EXTRA, {})
    try:
        complete = "latent" in words
        fields = words if complete else _sizes(state, words, kind.outputs_per_latent)
        model = kind(_config.from_plain(config_kind, fields))
        state.setdefault(_EXTRA, model.get_extra_state())
        model.load_state_dict(state)
    except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
        _checks.fail_value(name, f"the state dict of a {kind.__name__}", str(error))
    return model.eval()


def load_state(model: nn.Module, state: object, name: str, *, assign: bool = False) -> None:
    """Give `model` the state; one of another model is a ValueError that names the file `name`.

    `assign` makes the tensors of `state` the model's own, for a model on the device "meta".
    """
    tensors = _check_tensors(state, name)
    try:
        model.load_state_dict(tensors, assign=assign)
    except (RuntimeError, ValueError, AttributeError) as error:
        _checks.fail_value(name, f"a state dict of the configured {type(model).__name__}", str(error))


def _check_tensors(state: object, name: str) -> dict[str, Any]:
    """The state, of finite numbers: a model with others would give NaN without a word."""
    if not isinstance(state, dict):
        _checks.fail_value(name, "a state dict", type(state).__name__)
    for key, value in state.items():
        if isinstance(value, Tensor):
            if value.layout != torch.strided or value.is_quantized:
                _checks.fail_value(f"{name}: {key}", "a dense tensor", value.layout)
            if not bool(value.isfinite().all()):
                _checks.fail_value(f"{name}: {key}", "finite numbers", "NaN or infinity")
    return state


def _sizes(state: dict[str, Any], words: dict[str, Any], outputs_per_latent: int) -> dict[str, Any]:
    """The fields of the configuration that the tensors' shapes tell, and `words` for the rest."""
    encoder, decoder = _weights(state, "encoder."), _weights(state, "decoder.")
    convolutions = [weight.shape[0] for weight in encoder if weight.dim() == 4]
    dense = [tuple(weight.shape) for weight in encoder if weight.dim() == 2]
    decoder_dense = [tuple(weight.shape) for weight in decoder if weight.dim() == 2]
    if not dense or not decoder_dense:
        raise ValueError("no fully connected layers under encoder. and decoder.")
    found = {
        "image_shape": _image_shape(encoder, dense[0][1]),
        "latent": dense[-1][0] // outputs_per_latent,
        "encoder": "conv" if convolutions else "mlp",
        "hidden": [rows for rows, _ in dense[:-1]],
        "decoder_hidden": [rows for rows, _ in decoder_dense[:-1]],
        "normalisation": "batch" if any(key.endswith(".running_mean") for key in state) else "none",
    }
    if convolutions:
        found["channels"] = convolutions
    return {**found, **words}


def _weights(state: dict[str, Any], prefix: str) -> list[Tensor]:
    return [
        value
        for key, value in state.items()
        if key.startswith(prefix) and key.endswith(".weight") and isinstance(value, Tensor) and value.dim() in (2, 4)
    ]


def _image_shape(encoder: list[Tensor], features: int) -> list[int]:
    """Square images, of one channel where no convolution says otherwise; what the file says itself overrides this."""
    convolutions = [weight for weight in encoder if weight.dim() == 4]
    channels = convolutions[0].shape[1] if convolutions else 1
    last = convolutions[-1].shape[0] if convolutions else 1
    side = round((features / last) ** 0.5) * 2 ** len(convolutions)
    return [channels, side, side]
