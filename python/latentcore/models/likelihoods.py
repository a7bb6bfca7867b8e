"""Likelihoods: how pixels are distributed, given what a decoder computes of latents."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from latentcore import _checks, ops
from latentcore.data.convert import to_unit
from latentcore.reference import sum_dtype

# shapes: (N, C, H, W) outputs of a decoder, and images


class Likelihood(nn.Module, ABC):
    r"""A distribution p(x | outputs) of images, given a decoder's outputs; a model's is its attribute `likelihood`.

    One of your own has `nll` and `mean`, and `sample` where it is drawn from. Its parameters, where it has any, belong
    to the model and are learned with the others.

    Attributes:
        fused: Its name in :func:`latentcore.ops.vae_loss`, which then is used instead of `nll`, beside a prior that is
            N(0, I); None where it has none. A subclass that writes `nll` anew has none, unless it says so itself.

    Example:
        >>> import torch
        >>> from latentcore.models import VAE, Likelihood, MLPConfig, VAEConfig
        >>> class Laplace(Likelihood):
        ...     def nll(self, outputs, target):
        ...         return (target - outputs).abs().flatten(1).sum(1) + 784 * torch.log(torch.tensor(2.0))
        ...
        ...     def mean(self, outputs):
        ...         return outputs
        >>> class LaplaceVAE(VAE):
        ...     def __init__(self, config):
        ...         super().__init__(config)
        ...         self.likelihood = Laplace()
        >>> config = VAEConfig(network=MLPConfig(hidden=(32,), decoder_hidden=(32,)))
        >>> model, images = LaplaceVAE(config), torch.rand(5, 1, 28, 28)
        >>> model.objective()(model, (images, images), beta=1.0, seed=0)._fields
        ('loss', 'reconstruction', 'kl')
    """

    fused: ClassVar[str | None] = None

    def __init_subclass__(cls, **words: Any) -> None:
        super().__init_subclass__(**words)
        if "nll" in vars(cls) and "fused" not in vars(cls):
            cls.fused = None

    @abstractmethod
    def nll(self, outputs: Tensor, target: Tensor) -> Tensor:
        """-log p(target | outputs) of each image, in nats, summed over its pixels. (N,).

        Args:
            outputs: What the decoder computes, float32 or float64. (N, C, H, W).
            target: Images in [0, 1], of the dtype of `outputs`. (N, C, H, W).
        """

    @abstractmethod
    def mean(self, outputs: Tensor) -> Tensor:
        """What is drawn of outputs: the expected images, in [0, 1]. (N, C, H, W)."""

    def sample(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images drawn from the distribution; unless a likelihood says otherwise, `mean`. (N, C, H, W)."""
        return self.mean(outputs)


class _OfLogits(Likelihood):
    """One that `ops.vae_loss` knows: outputs are logits, and the mean is their sigmoid."""

    def mean(self, outputs: Tensor) -> Tensor:
        """``sigmoid(outputs)``."""
        return torch.sigmoid(outputs)

    def _nats(self, logits: Tensor, target: Tensor, name: str) -> Tensor:
        nowhere = logits.new_zeros(len(logits), 1)  # the divergence of N(0, 1) from itself is exactly 0
        nats = ops.vae_loss(logits, target, nowhere, nowhere, likelihood=name, reduction="none")
        return nats.reconstruction


class Bernoulli(_OfLogits):
    """Pixels are white with probability sigmoid(logits), independently: the cross entropy.

    Example:
        >>> import torch
        >>> from latentcore.models import Bernoulli
        >>> likelihood, logits = Bernoulli(), torch.zeros(3, 1, 28, 28)
        >>> likelihood.nll(logits, torch.zeros(3, 1, 28, 28, dtype=torch.uint8)).round()  # 784 * log(2)
        tensor([543., 543., 543.])
        >>> likelihood.sample(logits).unique()
        tensor([0., 1.])
    """

    fused = "bernoulli"

    def nll(self, outputs: Tensor, target: Tensor) -> Tensor:
        """As :func:`latentcore.ops.vae_loss` has it; targets may be uint8 too, and grey. (N,)."""
        return self._nats(outputs, target, "bernoulli")

    def sample(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Black and white images, 0 and 1. (N, C, H, W)."""
        return torch.bernoulli(self.mean(outputs), generator=generator)


class Gaussian(_OfLogits):
    r"""Pixels are normal around sigmoid(logits) with variance 1, independently: half the squared error.

    The constant :math:`C H W \log(2 \pi) / 2` is left out of `nll`.

    Example:
        >>> import torch
        >>> from latentcore.models import Gaussian
        >>> Gaussian().nll(torch.zeros(3, 1, 28, 28), torch.zeros(3, 1, 28, 28))  # 784 * 0.5² / 2
        tensor([98., 98., 98.])
    """

    fused = "gaussian"

    def nll(self, outputs: Tensor, target: Tensor) -> Tensor:
        """As :func:`latentcore.ops.vae_loss` has it; targets may be uint8 too. (N,)."""
        return self._nats(outputs, target, "gaussian")

    def sample(self, outputs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The mean with normal noise of deviation 1, which is much in images of [0, 1]. (N, C, H, W)."""
        mean = self.mean(outputs)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype, device=mean.device)
        return mean + noise


def nll_of(likelihood: Likelihood, outputs: Tensor, target: Tensor) -> Tensor:
    """-log p(target | outputs), (N,), of targets that may be uint8 and outputs that may be of half precision.

    Raises:
        ValueError: `nll` returns another shape than (N,).
    """
    if likelihood.fused is None:  # the operators take any of them as they are
        outputs = outputs.to(sum_dtype(outputs.dtype))
        target = to_unit(target).to(outputs.dtype)
    nats = likelihood.nll(outputs, target)
    _checks.shape(f"{type(likelihood).__name__}.nll(outputs, target)", nats, (len(outputs),))
    return nats
