"""Configuration of a VAE of photographs, and measured ones."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal

from latentcore import _config
from latentcore.models.config import SharpConfig
from latentcore.terminal.parsing import folder_name
from latentcore.training.config import Augmentation, ImageConfiguration, TrainConfig, check_channels

Kind = Literal["none", "auto", "vgg16", "ms-ssim"]


@dataclass(frozen=True)
class PerceptualConfig(_config.Configuration):
    """A perceptual term beside the negative ELBO.

    Attributes:
        kind: "vgg16": mean squared difference of VGG16's features, for which torchvision and its file of weights must
            be on the disk; nothing is downloaded. "ms-ssim": 1 - multi-scale SSIM. "auto": the first where it can be,
            else the second; which of them, a run's `config.json` says. "none".
        weight: Of the term, in nats.
    """

    kind: Kind = "none"
    weight: float = 10.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        _config.in_range(self, "weight", 0)


@dataclass(frozen=True)
class PhotographsConfig(ImageConfiguration):
    """Configuration of a VAE of photographs: its networks, its loss and its training; they have 1 channel or 3."""

    _network: ClassVar[str] = "vae"

    vae: SharpConfig = field(default_factory=SharpConfig)
    perceptual: PerceptualConfig = field(default_factory=PerceptualConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        check_channels("SharpConfig.image_shape", self.vae.image_shape)


@dataclass(frozen=True)
class PhotographsOptions:
    """Where decoded photographs are kept.

    Attributes:
        cache: Megabytes that all photographs may take in memory (4096).
        cache_dir: A folder for decoded photographs, which later runs read instead of decoding again; they are then
            mapped into memory, whatever `cache` says.
    """

    cache: float = field(default=4096.0, metadata={"type": float})
    cache_dir: Path | None = field(default=None, metadata={"type": folder_name})


# beta is the variance of the pixels' noise: the likelihood is the squared error, halved
_TRAIN = TrainConfig(
    epochs=50,
    batch_size=64,
    learning_rate=2e-3,
    schedule="one-cycle",
    pct_start=0.1,
    gradient_clip=1.0,
    beta=0.01,
    # turned images have black corners, of which the last epochs are free
    augmentation=Augmentation(degrees=5.0, mirror="x", full_until=0.6),
    reconstruct="augmented",
    precision="auto",
    channels_last=True,
)

PRESETS = {
    "photographs": PhotographsConfig(vae=SharpConfig(latent=64), train=_TRAIN),
    # pieces of pictures: there are many that share pixels, nothing is upright, and means are all that is asked for
    "patches": PhotographsConfig(
        vae=SharpConfig(latent=256),
        train=replace(_TRAIN, epochs=1, learning_rate=1e-3, beta=1e-3, augmentation=Augmentation(mirror="xy")),
    ),
}
