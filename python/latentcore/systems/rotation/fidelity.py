"""How near decoded latents come to what they should show."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from latentcore import metrics
from latentcore._memory import bounded
from latentcore.data import transformed
from latentcore.evaluate.angles import Classifier
from latentcore.systems.rotation.run import RotationRun

# shapes: (N, C, H, W) images, (N, L) latents, (N, 4) parameters: degrees, scale, pixels right, pixels down

_BATCH = 2000  # images at a time


@dataclass(frozen=True)
class Quality:
    """What a transformation of many images is worth; each number is a mean over the images.

    Attributes:
        psnr: Of the decoded, transformed latents against the truly transformed images, in dB.
        ssim: Likewise.
        mse: Likewise.
        excess_nats: Cross entropy of them less its floor, the entropy of the true images: nats per image.
        ceiling_psnr: PSNR of the VAE's direct reconstruction of the truly transformed images.
        ceiling_ssim: Likewise.
        ceiling_mse: Likewise.
        ceiling_excess_nats: Likewise.
        latent_mse: Of the transformed latents against those of the truly transformed images, mean over the axes.
        latent_cosine: Their cosine.
        label_kept: Fraction of the pictures in which the classifier sees what it sees in the true image; NaN without
            a classifier.
    """

    psnr: float
    ssim: float
    mse: float
    excess_nats: float
    ceiling_psnr: float
    ceiling_ssim: float
    ceiling_mse: float
    ceiling_excess_nats: float
    latent_mse: float
    latent_cosine: float
    label_kept: float

    @property
    def gap(self) -> float:
        """How far the PSNR is below the ceiling, in dB; below 0 where it is above."""
        return self.ceiling_psnr - self.psnr


class Truth:
    """Truly transformed images, and what the run and a classifier make of them: what latents are compared with.

    Args:
        run: The system.
        images: Upright images on the run's canvas. (N, C, H, W), uint8.
        parameters: How each is transformed. (N, 4).
        classifier: Says whether labels are kept.
    """

    def __init__(
        self, run: RotationRun, images: Tensor, parameters: Tensor, classifier: Classifier | None = None
    ) -> None:
        self._run, self._images, self._parameters, self._classifier = run, images, parameters, classifier
        self._means = torch.cat([run.encode(true) for true in self._parts()])
        self._ceiling, _ = self._drawn(self._means)
        self._seen = None if classifier is None else torch.cat([classifier.classify(true) for true in self._parts()])

    def quality(self, z: Tensor) -> Quality:
        """Of latents (N, L) that should be those of the transformed images."""
        fidelity, seen = self._drawn(z)
        return Quality(
            **fidelity,
            **{f"ceiling_{name}": value for name, value in self._ceiling.items()},
            latent_mse=float((z - self._means).square().mean(dtype=torch.float64)),
            latent_cosine=float(F.cosine_similarity(z, self._means).mean(dtype=torch.float64)),
            label_kept=torch.nan if self._seen is None else float((seen == self._seen).double().mean()),
        )

    def _parts(self) -> Iterator[Tensor]:
        for images, parameters in zip(self._images.split(_BATCH), self._parameters.split(_BATCH), strict=True):
            yield transformed(images, parameters).clamp_(0, 1)  # blending may round to a little above 1

    def _drawn(self, z: Tensor) -> tuple[dict[str, float], Tensor]:
        """The means of what the decoded latents are worth, and what the classifier sees in them, (N,) or (0,)."""
        totals, seen = dict.fromkeys(_FIDELITY, 0.0), [torch.empty(0, dtype=torch.int64)]
        for true, latents in bounded(zip(self._parts(), z.split(_BATCH), strict=True)):
            drawn = self._run.decode(latents)
            for name, of in _FIDELITY.items():
                totals[name] += float(of(true, drawn).double().sum()) / len(z)
            if self._classifier is not None:
                seen.append(self._classifier.classify(drawn))
        return totals, torch.cat(seen)


def _excess_nats(true: Tensor, drawn: Tensor) -> Tensor:
    nats = F.binary_cross_entropy(drawn, true, reduction="none")
    return (nats - F.binary_cross_entropy(true, true, reduction="none")).flatten(1).sum(1)


_FIDELITY = {"psnr": metrics.psnr, "ssim": metrics.ssim, "mse": metrics.mse, "excess_nats": _excess_nats}
