"""Configuration of a system that transforms images in its latent space, and measured ones."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from latentcore import _config, _errors
from latentcore.models.config import LatentConfig, VAEConfig
from latentcore.models.parts import ConvConfig
from latentcore.training.config import Augmentation, ImageConfiguration, TrainConfig


@dataclass(frozen=True)
class PairsConfig:
    """Which transformations are learned, and from what pairs.

    Attributes:
        angles: Degrees from which orientations are drawn; none stands for any angle.
        scale: Lowest and highest magnification.
        translate: Pixels; both directions are in [-translate, translate].
        upright: Fraction of the pairs whose first image is as it is in the data. That of the others is transformed
            itself: turned pairs begin at any orientation, and where there are scales or translations both images of a
            pair are the same, for two of them after each other would leave the ranges.
        same: Fraction of the pairs whose second image is the first.
        upright_labels: Classes whose images are only ever seen as they are, to see later whether they can be turned.
        canvas: Side of a larger square on which images are centred, so that turning crops no corner; 0 keeps them.
    """

    angles: tuple[float, ...] = tuple(30.0 * step for step in range(12))
    scale: tuple[float, float] = (1.0, 1.0)
    translate: float = 0.0
    upright: float = 0.5
    same: float = 0.25
    upright_labels: tuple[int, ...] = ()
    canvas: int = 0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("upright", "same"):
            _config.in_range(self, name, 0, 1)
        for name in ("translate", "canvas"):
            _config.in_range(self, name, 0, 2**15)
        if not 0 < self.scale[0] <= self.scale[1]:
            _errors.fail_value("PairsConfig.scale", "0 < low <= high", self.scale)

    @property
    def rotations_only(self) -> bool:
        """Whether scales and translations stay as they are."""
        return self.scale == (1.0, 1.0) and self.translate == 0


@dataclass(frozen=True)
class TransformationWeights:
    """Weights of the loss, `latentcore.systems.rotation.objective.TransformationLoss`.

    Attributes:
        image: Of the reconstruction of the second image from the transformed latents.
        latent: Of the squared distance of the latents.
        cosine: Of one minus their cosine.
    """

    image: float = 1.0
    latent: float = 0.0
    cosine: float = 0.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("image", "latent", "cosine"):
            _config.in_range(self, name, 0)
        if not self.image + self.latent + self.cosine:
            _errors.fail_value("TransformationWeights", "a weight above 0", "none")


@dataclass(frozen=True)
class RotationConfig(ImageConfiguration):
    """Configuration of the system: its VAE, its latent transformation, and how both are trained.

    Attributes:
        digits: The classes to learn; none: all.
        vae: The VAE.
        operator: The transformation of its latents.
        pairs: Which transformations of images are learned.
        loss: What is minimised.
        train: The training of both together, or of the transformation alone.
        vae_train: A training of the VAE alone that comes first; the VAE is frozen then. None trains both together.
    """

    _network: ClassVar[str] = "vae"

    digits: tuple[int, ...] = ()
    vae: VAEConfig = field(default_factory=VAEConfig)
    operator: LatentConfig = field(default_factory=LatentConfig)
    pairs: PairsConfig = field(default_factory=PairsConfig)
    loss: TransformationWeights = field(default_factory=TransformationWeights)
    train: TrainConfig = field(default_factory=TrainConfig)
    vae_train: TrainConfig | None = None

    def __post_init__(self) -> None:
        _config.check_types(self)
        if len(set(self.digits)) != len(self.digits):
            _errors.fail_value("RotationConfig.digits", "different ones", self.digits)
        if self.operator.rotations_only and not self.pairs.rotations_only:
            expected = f"scale (1, 1) and translate 0: {self.operator.model!r} only rotates"
            _errors.fail_value("RotationConfig.pairs", expected, self.pairs)
        self._check_steps()
        self._check_vae_train()
        shape, canvas = self.vae.image_shape, self.pairs.canvas
        if canvas and shape[1:] != (canvas, canvas):
            _errors.fail_value("RotationConfig.vae.image_shape", f"the canvas, {canvas} x {canvas}", shape)

    def for_shape(self, shape: tuple[int, ...]) -> Self:
        """The same for images of another size, (C, H, W), which a canvas takes as they are."""
        channels, height, width = shape
        if self.pairs.canvas:
            height, width = self.vae.image_shape[1:]
        return super().for_shape((channels, height, width))

    def _check_steps(self) -> None:
        """A "step" model is trained on whole steps, and can be asked for the twelve angles of an evaluation."""
        step, angles = self.operator.step, self.pairs.angles
        if self.operator.model != "step":
            return
        if not whole(30 / step):
            _errors.fail_value("RotationConfig.operator.step", "a divisor of 30 degrees", step)
        if not angles or not all(whole(angle / step) for angle in angles):
            _errors.fail_value("RotationConfig.pairs.angles", f"multiples of the step, {step:g} degrees", angles)

    def _check_vae_train(self) -> None:
        if self.vae_train is None:
            if not self.loss.image:
                expected = "a weight of the image, where the VAE is trained too"
                _errors.fail_value("RotationConfig.loss", expected, self.loss)
            return
        if self.vae_train.augmentation.degrees and self.pairs.upright_labels:
            expected = "none where the VAE is trained on turned images of all classes"
            _errors.fail_value("RotationConfig.pairs.upright_labels", expected, self.pairs.upright_labels)
        if self.vae_train.validation:
            expected = "0: train.validation is the share for the VAE too"
            _errors.fail_value("RotationConfig.vae_train.validation", expected, self.vae_train.validation)


@dataclass(frozen=True)
class RotationOptions:
    """By what transformed images are judged besides their pixels.

    Attributes:
        classifier: A run of a classifier, which says whether digits stay what they are.
    """

    classifier: Any = field(default=None, metadata={"run": True})


def whole(steps: float) -> bool:
    """Whether this is a whole number, up to rounding."""
    return abs(steps - round(steps)) < 1e-6


def upgraded(plain: dict[str, Any]) -> dict[str, Any]:
    """What a `config.json` of version 0.1.0 says: the digits were no part of the configuration."""
    source = plain.get("source")
    if not isinstance(source, dict) or "digits" not in source:
        return plain
    return {**plain, "digits": [] if source["digits"] == list(range(10)) else source["digits"]}


_VAE = VAEConfig(latent=32, network=ConvConfig(hidden=(256,), decoder_hidden=(256,), channels=(32, 64)))  # the study's

# The latents are learned together with what turns them. A small beta keeps the strokes sharp; reconstructing upright
# and turned digits alike keeps the decoder from preferring either.
_ROTATION = RotationConfig(
    vae=replace(_VAE, network=replace(_VAE.network, activation="silu")),
    operator=LatentConfig(model="equivariant"),
    pairs=PairsConfig(upright=0.5, same=0.25),
    train=TrainConfig(
        epochs=25,
        batch_size=256,
        learning_rate=2e-3,
        schedule="one-cycle",
        beta=0.1,
        precision="auto",
        channels_last=True,
    ),
)
_SHORTER = replace(_ROTATION.train, epochs=15)

PRESETS = {
    "rotation": _ROTATION,
    # A VAE of turned digits first; the transformation is found afterwards, around a chart of its latents.
    "frozen": replace(
        _ROTATION,
        operator=LatentConfig(model="equivariant", couplings=4, activation="silu"),
        train=replace(_ROTATION.train, epochs=10),
        vae_train=replace(_SHORTER, augmentation=Augmentation(degrees=180.0), reconstruct="augmented"),
    ),
    # The study's recipe: a VAE of upright digits, then an MLP on pairs of latents.
    "study": RotationConfig(
        digits=(1, 2),
        vae=_VAE,
        operator=LatentConfig(model="mlp"),
        pairs=PairsConfig(upright=1.0, same=0.0),
        loss=TransformationWeights(image=0.0, latent=1.0),
        train=TrainConfig(epochs=10, batch_size=128, learning_rate=1e-3),
        vae_train=TrainConfig(epochs=20, batch_size=128, learning_rate=1e-3),
    ),
    # Without the orientations from 90 to 180 degrees, neither as a picture nor as what to draw.
    "held-out": replace(
        _ROTATION,
        pairs=replace(_ROTATION.pairs, angles=tuple(a for a in _ROTATION.pairs.angles if not 90 <= a <= 180)),
        train=_SHORTER,
    ),
    # Fours and sevens are only ever seen upright.
    "never-turned": replace(_ROTATION, pairs=replace(_ROTATION.pairs, upright_labels=(4, 7)), train=_SHORTER),
    "scale-translate": replace(
        _ROTATION,
        operator=LatentConfig(model="mlp", hidden=(512, 512, 512), activation="silu"),
        pairs=PairsConfig(angles=(0.0,), scale=(0.7, 1.3), translate=4.0, upright=0.7, same=0.1),
        train=_SHORTER,
    ),
}
