"""What all autoencoders are: an encoder, a decoder, a likelihood, and what a file says of them."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from latentcore import _checks, _config, _errors
from latentcore.models.config import EncoderDecoderConfig, LayeredConfig
from latentcore.models.likelihoods import Likelihood
from latentcore.models.networks import build_decoder, build_encoder

# shapes: (N, C, H, W) images, (N, L) latents, (N,) labels


class EncoderDecoder(nn.Module):
    """An encoder, a decoder, and the configuration they were built from.

    Args:
        config: Sizes and kinds of the layers. The weights are drawn from torch's default generator.

    Attributes:
        likelihood: Of the pixels, given what the decoder computes: the one that the configuration names. A subclass may
            put another one here.
    """

    encoder: nn.Module
    decoder: nn.Module
    likelihood: Likelihood
    outputs_per_latent: ClassVar[int]  # numbers that the encoder gives for each latent axis

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = self.new_encoder()
        self.decoder = self.new_decoder()
        if config.classes:
            # added to the image: for the first layer the same as further inputs that tell the class
            self.class_images = nn.Embedding(config.classes, math.prod(config.image_shape))
        self.likelihood = config.likelihood.build()

    def new_encoder(self) -> nn.Module:
        """What takes images (N, C, H, W) to (N, outputs_per_latent * L)."""
        return build_encoder(self._layered(), self.outputs_per_latent * self.config.latent)

    def new_decoder(self) -> nn.Module:
        """What takes latents (N, L + classes) to logits (N, C, H, W)."""
        return build_decoder(self._layered())

    def run_encoder(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The encoder's outputs (N, outputs_per_latent * L) for images (N, C, H, W), float in [0, 1]."""
        _checks.floating("images", images)
        _checks.shape("images", images, ("N", *self.config.image_shape))
        if self.training and self.config.noise:
            images = (images + self.config.noise * torch.randn_like(images)).clamp(0, 1)
        if (known := self._known(labels, len(images))) is not None:
            images = images + self.class_images(known).view_as(images)
        encoded: Tensor = self.encoder(images)
        return encoded

    def decode_logits(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits (N, C, H, W) of the pixels, for latents z (N, L) and labels (N,) where there are classes."""
        _checks.floating("z", z)
        _checks.shape("z", z, ("N", self.config.latent))
        if (known := self._known(labels, len(z))) is not None:
            classes = torch.eye(self.config.classes, dtype=z.dtype, device=z.device)
            z = torch.cat([z, classes.index_select(0, known)], 1)
        logits: Tensor = self.decoder(z)
        return logits

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (N, C, H, W) in [0, 1], the likelihood's mean, for latents z (N, L) and labels as `decode_logits`."""
        return self.likelihood.mean(self.decode_logits(z, labels))

    def _known(self, labels: Tensor | None, count: int) -> Tensor | None:
        """The labels, which a model of classes must be told and no other one may be."""
        if (labels is None) != (self.config.classes == 0):
            expected = f"one for each of {count} images" if labels is None else "none: the model knows no classes"
            _errors.fail_value("labels", expected, "none" if labels is None else "labels")
        if labels is not None:
            _checks.dtype("labels", labels, (torch.int64,))
            _checks.shape("labels", labels, (count,))
        return labels

    def _layered(self) -> LayeredConfig:
        """The configuration, of which layers are built; a subclass whose own has none builds them itself."""
        if not isinstance(self.config, LayeredConfig):
            _errors.fail_type("config", "a configuration with a network", type(self.config).__name__)
        return self.config

    def get_extra_state(self) -> dict[str, Any]:
        """The configuration, for the shapes of the tensors leave much of it open."""
        return _config.to_plain(self.config)

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Refuse the state of a model that differs where the shapes of the tensors could not tell."""
        if not isinstance(state, Mapping):
            _errors.fail_type("state dict: _extra_state", "a mapping", type(state).__name__)
        own = _config.to_plain(self.config)
        found = dict(_config.flat(_config.from_plain(type(self.config), _completed(state, own), "state dict")))
        for path, value in _config.flat(self.config):
            if found.get(path) != value:
                _errors.fail_value(f"state dict: {path}", f"the model's, {value!r}", repr(found.get(path)))


def _completed(state: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a state says of its model; those of plain networks of version 0.1.0 left the most of it to the tensors."""
    if "latent" in state or "network" not in own:
        return state
    told = {name: value for name, value in state.items() if name != "activation"}
    activation = state.get("activation", own["network"]["activation"])
    return {**own, **told, "network": {**own["network"], "activation": activation}}
