"""A trained system that transforms latents, ready for use."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentcore import _errors
from latentcore._ambient import torch_as_usual
from latentcore.data.convert import as_column, as_latents
from latentcore.models import TransformingVAE
from latentcore.systems.rotation.config import RotationConfig, whole
from latentcore.training.run import CodingRun

# shapes: (N, C, H, W) images, (N, L) latents, (N, 4) parameters: degrees, scale, pixels right, pixels down

_BATCH = 4096  # latents at a time


class RotationRun(CodingRun[RotationConfig]):
    """A trained system that transforms latents.

    Attributes:
        model: The VAE.
        operator: The latent transformation, in evaluation mode.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], config: RotationConfig, model: TransformingVAE) -> None:
        super().__init__(folder, about, config, self.coder(model))
        self.operator = model.operator.float().eval()

    @staticmethod
    def coder(model: Any) -> Any:
        """The VAE."""
        return model.vae

    @property
    def rotates(self) -> bool:
        """Whether rotations were learned."""
        return self.config.pairs.angles != (0.0,)

    def possible(self, angles: Sequence[float]) -> list[float]:
        """Those of the angles that this run can turn by: a "step" model knows whole steps only."""
        operator = self.config.operator
        if operator.model != "step":
            return list(angles)
        return [angle for angle in angles if whole(angle / operator.step)]

    @property
    def orientations(self) -> frozenset[float] | None:
        """The degrees at which training has seen images, in [0, 360); None for any."""
        alone, angles = self.config.vae_train, self.config.pairs.angles
        if not angles or (alone is not None and alone.augmentation.degrees):
            return None
        return frozenset(angle % 360 for angle in angles)

    @torch_as_usual(gradients=False)
    @torch.no_grad()
    def transform(self, z: Any, angle: Any = 0.0, *, scale: Any = 1.0, translate: Any = (0.0, 0.0)) -> Tensor:
        """Latents (N, L) of the transformed images, for latents z (N, L) of images.

        Args:
            z: Latents, as `encode` gives them.
            angle: Degrees, counter-clockwise as displayed: a number or (N,). A "step" model takes whole steps.
            scale: Magnification, above 0: a number or (N,).
            translate: Pixels to the right and down: numbers or (N,).

        Raises:
            ValueError: A number is NaN, infinite, or of a kind that this run has not learned.
        """
        latents = as_latents(z, self.model.config.latent).cpu()
        if not (isinstance(translate, tuple | list) and len(translate) == 2):
            _errors.fail_value("translate", "a pair (right, down)", translate)
        values = {"angle": angle, "scale": scale, "translate[0]": translate[0], "translate[1]": translate[1]}
        parameters = torch.stack([as_column(name, value, len(latents)) for name, value in values.items()], dim=1)
        self._check_known(parameters)
        parameters[:, 0] %= 360  # before digits are dropped
        parts = zip(latents.split(_BATCH), parameters.float().split(_BATCH), strict=True)
        return torch.cat([self.operator(latent, told) for latent, told in parts])

    def _check_known(self, parameters: Tensor) -> None:
        angle, scale, shift = parameters[:, 0], parameters[:, 1], parameters[:, 2:]
        if bool((scale.float() <= 0).any()):  # one that float32 takes for 0 is none
            _errors.fail_value("scale", "numbers above 0", float(scale.min()))
        operator, pairs = self.config.operator, self.config.pairs
        if pairs.scale == (1.0, 1.0) and bool((scale != 1).any()):
            _errors.fail_value("scale", "1: this run has learned no scales", "others")
        if not pairs.translate and bool((shift != 0).any()):
            _errors.fail_value("translate", "(0, 0): this run has learned no translations", "others")
        if not self.rotates and bool((angle != 0).any()):
            _errors.fail_value("angle", "0: this run has learned no rotations", "others")
        if operator.model == "step" and not all(whole(steps) for steps in (angle / operator.step).tolist()):
            _errors.fail_value("angle", f"multiples of {operator.step:g} degrees, the step of this run", "others")
