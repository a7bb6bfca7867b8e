"""How a model is trained: frozen dataclasses that travel through JSON unchanged."""

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from latentcore import _config, _errors


@dataclass(frozen=True)
class Augmentation:
    """Random affine transformation of each image of each batch, about one point.

    The ranges are half widths: each parameter is uniform in [-range, range]. All of them shrink together: at full
    strength until `full_until` (a fraction of the epochs), then linearly down to nothing at `zero_from`, from which on
    nothing is mirrored either.

    Attributes:
        degrees: Rotation, in degrees.
        translate: Translation along each axis, in pixels.
        scale: Natural logarithm of the zoom.
        shear: Shear along x, in degrees.
        mirror: Axes along which an image is mirrored, each with probability 1/2.
        center: The point (x, y) in pixels that stays where it is, but for the translation; None: the image's centre.
        full_until: Fraction of the epochs before which the ranges hold in full.
        zero_from: Fraction of the epochs from which images are left as they are.
    """

    degrees: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    mirror: Literal["none", "x", "y", "xy"] = "none"
    center: tuple[float, float] | None = None
    full_until: float = 1.0
    zero_from: float = 1.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name, high in (("degrees", 180), ("translate", 1e4), ("scale", 3), ("shear", 80)):
            _config.in_range(self, name, 0, high)
        _config.in_range(self, "full_until", 0, 1)
        if not self.full_until <= self.zero_from <= 1:
            _errors.fail_value("Augmentation.zero_from", f"a number in [{self.full_until}, 1]", self.zero_from)

    @property
    def numbers(self) -> int:
        """Random numbers that an image needs."""
        return 5 if self.mirror == "none" else 7

    def strength(self, progress: float) -> float:
        """What the ranges are multiplied by when the fraction `progress` of the epochs is done; in [0, 1]."""
        still = not any((self.degrees, self.translate, self.scale, self.shear, self.mirror != "none"))
        if still or progress >= 1:
            return 0.0
        if progress < self.full_until or self.zero_from == self.full_until:
            return float(progress < self.full_until)
        return min(1.0, max(0.0, (self.zero_from - progress) / (self.zero_from - self.full_until)))


@dataclass(frozen=True)
class TrainConfig(_config.Configuration):
    """How `latentcore.training.fit` trains.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step, in all processes together; the last, smaller batch of an epoch is left out. Lowered
            to the number of images where there are fewer.
        accumulate: Parts of a batch that are computed one after the other, whose gradients add up: memory is that of a
            part.
        learning_rate: Of AdamW; with the schedule "one-cycle" its peak.
        betas: Of AdamW: decay per step of its averages of gradient and square, in [0, 1); "one-cycle" moves the
            first one.
        schedule: "constant"; "cosine": down to nothing along half a cosine; "one-cycle": cosine up to the peak, then
            down to nothing, momentum against it.
        pct_start: Fraction of the steps of "one-cycle" that lead up to the peak.
        weight_decay: Of AdamW.
        gradient_clip: Largest norm of the gradient; 0 does not clip.
        ema: Decay per step of the exponential moving average of weights and normalisation statistics, which is what is
            validated and kept as the model; 0 keeps the weights themselves.
        beta: Factor of the KL term.
        beta_warmup: Fraction of the steps over which that factor rises linearly from 0.
        augmentation: Random affine transformation of the training images.
        binarise: Whether the training images' pixels are drawn, 0 or 1, in every step anew; their values are the
            probabilities.
        reconstruct: What the decoder is to draw: the "clean" image or the "augmented" one.
        freeze_normalisation_at: Fraction of the epochs from which batch normalisation uses its running statistics.
        validation: Share of the training examples, in [0, 0.99], by which the best weights are chosen instead of being
            learned from; 0 keeps the last weights.
        early_stop: Epochs without a lower validation loss after which training ends; 0 never ends it early.
        checkpoint_every: Steps after which a checkpoint is written within an epoch; 0 writes one after each epoch only.
        record: "auto": a step of a long training on the CPU, or on CUDA, is recorded and replayed, which is faster; a
            model or an objective that is seen to keep something in Python from step to step, as a counter, is not, and
            a warning says so. "off": every step is gone through.
        seed: Of everything random: weights, order, augmentation, latent noise. In [0, 2^31).
        device: "auto" takes the first CUDA device where there is one.
        precision: "32-true"; "64-true"; "bf16-mixed": layers in bfloat16, weights and sums in float32; "auto":
            bf16-mixed where the device multiplies bfloat16 in hardware, else 32-true.
        channels_last: Whether convolutions keep their channels innermost, which most devices prefer.
    """

    _section: ClassVar[str] = "train"

    epochs: int = 20
    batch_size: int = 128
    accumulate: int = 1
    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Literal["constant", "cosine", "one-cycle"] = "constant"
    pct_start: float = 0.2
    weight_decay: float = 0.0
    gradient_clip: float = 0.0
    ema: float = 0.0
    beta: float = 1.0
    beta_warmup: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    binarise: bool = False
    reconstruct: Literal["clean", "augmented"] = "clean"
    freeze_normalisation_at: float = 1.0
    validation: float = 0.0
    early_stop: int = 0
    checkpoint_every: int = 0
    record: Literal["auto", "off"] = "auto"
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["32-true", "64-true", "bf16-mixed", "auto"] = "32-true"
    channels_last: bool = False

    def __post_init__(self) -> None:
        _config.check_types(self)
        for name in ("epochs", "batch_size", "accumulate"):
            _config.in_range(self, name, 1)
        if self.batch_size % self.accumulate:
            _errors.fail_value("TrainConfig.accumulate", f"a divisor of batch_size, {self.batch_size}", self.accumulate)
        for name in ("learning_rate", "weight_decay", "gradient_clip", "beta", "early_stop", "checkpoint_every"):
            _config.in_range(self, name, 0)
        for name in ("pct_start", "beta_warmup", "freeze_normalisation_at"):
            _config.in_range(self, name, 0, 1)
        _config.in_range(self, "validation", 0, 0.99)
        for name in ("betas", "ema"):
            _config.in_range(self, name, 0, 1 - 1e-9)
        _config.in_range(self, "seed", 0, 2**31 - 1)


def check_channels(name: str, image_shape: tuple[int, int, int]) -> None:
    """Images of a shape (C, H, W) can be drawn."""
    if image_shape[0] not in (1, 3):
        _errors.fail_value(name, "images of 1 channel or 3, which can be drawn", image_shape)


class ImageConfiguration(_config.Configuration):
    """Base of the configurations of systems whose network has an `image_shape`: a field of the name `_network`."""

    _network: ClassVar[str]

    @property
    def network(self) -> Any:
        """What a model is built from."""
        return getattr(self, self._network)

    def for_shape(self, shape: tuple[int, ...]) -> Self:
        """The same for images of another size, (C, H, W)."""
        channels, height, width = shape
        network = replace(self.network, image_shape=(channels, height, width))
        itself: Any = self  # subclasses are dataclasses
        same: Self = replace(itself, **{self._network: network})
        return same
