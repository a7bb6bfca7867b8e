"""Models in files: tensors and a few words, never code."""

import os
from collections.abc import Callable, Mapping
from itertools import chain, islice
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from latentcore import _checks, _config, _errors
from latentcore._tensors import load_tensors, save_tensors
from latentcore.models.autoencoder import Autoencoder
from latentcore.models.base import EncoderDecoder
from latentcore.models.config import AutoencoderConfig, LayeredConfig, VAEConfig
from latentcore.models.vae import VAE

T = TypeVar("T")
C = TypeVar("C", bound=LayeredConfig)
M = TypeVar("M", bound=EncoderDecoder)

_EXTRA = "_extra_state"
_DTYPES = (*_checks.FLOATING, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)
# what torch and the networks raise for a state or for sizes that are none
_DAMAGES = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)
_LONGEST = 2000  # letters of a reason
_MOST_VALUES = 10_000  # in a configuration
_MOST_TENSORS = 20_000  # of a model
# of torch's functions that a layer calls while it is built, for each of its tensors; those of our models call 11
_CALLS = 100


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
        check_few_values(fields)
        config = _config.from_plain(config_kind, fields)
        model = build_for(state, lambda: kind(config).float())
        state.setdefault(_EXTRA, model.get_extra_state())
        _check_kinds(model, state)
        model.load_state_dict(state, assign=True)
    except _DAMAGES as error:
        _errors.fail_value(name, f"the state dict of a {kind.__name__}", _reason(error))
    return model.float().eval()


def check_few_values(plain: object) -> None:
    """A configuration from outside has no more values than any network needs: each of them is looked at.

    Raises:
        ValueError: It has.
    """
    level, count = [plain], 0
    while level:
        count += len(level)
        inner = chain.from_iterable(value.values() if isinstance(value, dict) else value for value in _holders(level))
        level = list(islice(inner, _MOST_VALUES + 1))
        if count > _MOST_VALUES:
            _errors.fail_value("configuration", f"at most {_MOST_VALUES:,} values", "more")


def _holders(values: list[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, dict | list | tuple)]


def build_for(state: Mapping[str, Any], build: Callable[[], T], *, calls: int = _CALLS) -> T:
    """The model that `build` makes, on the device "meta", whose state is to be loaded with `assign`.

    Its sizes come from a file and may be anything: they take no memory, and where there are many times more layers
    than the state has tensors, building stops: when torch's functions have been called `calls` times for each of them.

    Raises:
        ValueError: There are.
        RuntimeError: The sizes are those of no tensor.
    """
    with _CountedCalls(10 * calls + calls * len(state)), torch.device("meta"):
        return build()


class _CountedCalls(TorchFunctionMode):
    """Ends in an error where torch's functions are called more often than expected."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = self._left = most

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"many more layers than there are tensors, which took over {self._most:,} calls to build")
        return function(*args, **(kwargs or {}))


def load_state(model: nn.Module, state: object, name: str, *, assign: bool = False) -> None:
    """Give `model` the state; one of another model is a ValueError that names the file `name`.

    `assign` makes the tensors of `state` the model's own, for a model on the device "meta".
    """
    tensors = _check_tensors(state, name)
    try:
        _check_kinds(model, tensors)
        model.load_state_dict(tensors, assign=assign)
    except _DAMAGES as error:
        _errors.fail_value(name, f"a state dict of the configured {type(model).__name__}", _reason(error))


def _check_tensors(state: object, name: str) -> dict[str, Any]:
    """The state, of finite numbers: a model with others would give NaN without a word."""
    if not isinstance(state, dict):
        _errors.fail_value(name, "a state dict", type(state).__name__)
    if len(state) > _MOST_TENSORS:
        _errors.fail_value(name, f"a state dict of at most {_MOST_TENSORS:,} tensors", f"{len(state):,}")
    for key, value in state.items():
        if isinstance(value, Tensor):
            _check_numbers(f"{name}: {key}", value)
    return state


def _check_numbers(name: str, value: Tensor) -> None:
    if value.layout != torch.strided or value.is_quantized:
        _errors.fail_value(name, "a dense tensor", value.layout)
    if value.dtype not in _DTYPES:
        _errors.fail_value(name, "floating-point or whole numbers that torch computes with", value.dtype)
    if not bool(value.isfinite().all()):
        _errors.fail_value(name, "finite numbers", "NaN or infinity")


def _check_kinds(model: nn.Module, state: dict[str, Any]) -> None:
    """Floating-point numbers may have another width than the model's own, which holds them; whole ones may not."""
    for key, own in model.state_dict().items():
        value = state.get(key)
        if not isinstance(own, Tensor) or not isinstance(value, Tensor) or value.dtype == own.dtype:
            continue
        if not {value.dtype, own.dtype} <= set(_checks.FLOATING):
            _errors.fail_value(key, f"numbers of the type {own.dtype}", value.dtype)
        if not bool(value.to(own.dtype).isfinite().all()):
            _errors.fail_value(key, f"numbers that {own.dtype} holds", f"{value.dtype} up to {value.abs().max():g}")


def _reason(error: Exception) -> str:
    """An error's words, not all of them where a file names thousands of tensors."""
    return str(error)[:_LONGEST]


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
