"""Images, their posteriors under a model, and what samples of these are worth: a batch at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from latentcore import _checks, _errors, ops
from latentcore._memory import bounded
from latentcore.data.convert import to_unit
from latentcore.models.likelihoods import nll_of
from latentcore.models.priors import Prior

# shapes: (N, C, H, W) images, (N, L) latents, S samples of the latents of each image

MAX_SAMPLES = 2**22
_NEXT_SAMPLE = 2**40  # elements of noise between a sample and the next: more than the latents of all images together


class Batch(NamedTuple):
    """Images and the posteriors of their latents.

    Attributes:
        first: The place of the first image among all.
        images: On the model's device. (N, C, H, W), uint8 or float in [0, 1].
        mu: Posterior means. (N, L).
        logvar: Logarithms of the posterior variances. (N, L).
        labels: What the model is told besides, or None. (N, ...).
    """

    first: int
    images: Tensor
    mu: Tensor
    logvar: Tensor
    labels: Tensor | None

    def element(self, sample: int) -> int:
        """Where the noise of one sample of these images begins; it does not depend on batches or other samples."""
        return sample * _NEXT_SAMPLE + self.first * self.mu.shape[1]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Evaluation mode, no gradients; afterwards every layer is in the mode it was in."""
    layers = list(model.modules()) if isinstance(model, nn.Module) else []
    modes = [layer.training for layer in layers]
    try:
        for layer in layers:
            layer.training = False
        with torch.no_grad():
            yield
    finally:
        for layer, mode in zip(layers, modes, strict=True):
            layer.training = mode


def has_likelihood(model: Any, images: Tensor, labels: Tensor | None = None) -> bool:
    """Whether a model is one as `likelihood` asks them, which one of the images (N, C, H, W) shows."""
    if not all(hasattr(model, name) for name in ("encode", "decode_logits", "prior", "likelihood")):
        return False
    with evaluating(model):
        posterior = model.encode(to_unit(images[:1]), **_keywords(None if labels is None else labels[:1]))
    return isinstance(posterior, tuple)


def batches(model: Any, images: Tensor, labels: Tensor | None, size: int) -> Iterator[Batch]:
    """The posteriors of images (N, C, H, W), `size` images at a time, on the model's device and in its dtype."""
    if labels is not None:
        _checks.tensor("labels", labels)
        if labels.dim() == 0 or len(labels) != len(images):
            _errors.fail_value("labels", f"one for each of {len(images)} images", f"shape {tuple(labels.shape)}")
    device, dtype = _place(model)
    for first in bounded(range(0, len(images), size)):
        shown = images[first : first + size].to(device)
        told = None if labels is None else labels[first : first + size].to(device)
        posterior = model.encode(to_unit(shown).to(dtype), **_keywords(told))
        if not isinstance(posterior, tuple):
            _errors.fail_type("model", "one that encodes images as (mu, logvar)", type(model).__name__)
        if not (hasattr(model, "prior") and hasattr(model, "likelihood")):
            _errors.fail_type("model", "one with a prior and a likelihood", type(model).__name__)
        mu, logvar = posterior
        yield Batch(first, shown, mu, logvar, told)


def reconstruction(model: Any, batch: Batch, z: Tensor) -> Tensor:
    """-log p(x|z) of latents (S, N, L), as the model's likelihood has it. (S, N), float64."""
    told = None if batch.labels is None else _repeated(batch.labels, len(z))
    logits = model.decode_logits(z.flatten(0, 1), **_keywords(told))
    return nll_of(model.likelihood, logits, _repeated(batch.images, len(z))).double().view(z.shape[:2])


def weighted_nll(model: Any, batch: Batch, samples: int, rows: int, seed: int) -> Tensor:
    """-log of the mean importance weight of the samples of each image, `rows` of them at a time. (N,), float64."""
    together = max(1, rows // len(batch.mu))
    total = torch.full((len(batch.mu),), -math.inf, dtype=torch.float64, device=batch.mu.device)
    for begin in bounded(range(0, samples, together)):
        noise = _noise(batch, range(begin, min(begin + together, samples)), seed)
        z = batch.mu + (0.5 * batch.logvar).exp() * noise
        log_weights = _log_ratio(model.prior, z, noise, batch.logvar)
        log_weights -= reconstruction(model, batch, z.to(batch.mu.dtype))
        total = torch.logaddexp(total, log_weights.logsumexp(0))
    return math.log(samples) - total


def _log_ratio(prior: Prior, z: Tensor, noise: Tensor, logvar: Tensor) -> Tensor:
    """Log p(z) - log q(z|x) of samples z (S, N, L) that were made of noise (S, N, L). (S, N), float64."""
    if prior.standard:
        # all in float64, where the factors of 2 pi cancel; its log_prob would round to the dtype of z
        return 0.5 * (noise.double().square() - z.double().square() + logvar.double()).sum(2)
    density = prior.log_prob(z.flatten(0, 1)).double().view(z.shape[:2])
    return density + 0.5 * (noise.double().square() + logvar.double() + math.log(2 * math.pi)).sum(2)


def _noise(batch: Batch, samples: range, seed: int) -> Tensor:
    """Standard normal numbers, those by which `ops.reparameterize_kl` samples the posteriors. (S, N, L)."""
    origin = torch.zeros_like(batch.mu, dtype=torch.promote_types(batch.mu.dtype, torch.float32))
    return torch.stack([ops.reparameterize_kl(origin, origin, seed=seed, offset=batch.element(s))[0] for s in samples])


def _repeated(values: Tensor, times: int) -> Tensor:
    """(N, ...) -> (times * N, ...), one copy after the other; no copy at all where once is enough."""
    return values.expand(times, *values.shape).flatten(0, 1)


def _keywords(labels: Tensor | None) -> dict[str, Tensor]:
    return {} if labels is None else {"labels": labels}


def _place(model: Any) -> tuple[torch.device, torch.dtype]:
    """Device and dtype of the model's weights; those of torch's tensors where it has none."""
    weights = model.parameters() if isinstance(model, nn.Module) else ()
    weight = next((weight for weight in weights if weight.is_floating_point()), torch.empty(0))
    return weight.device, weight.dtype
