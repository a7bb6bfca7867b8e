"""Configuration of a classifier of electrons and photons, and measured ones."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

from latentcore import _config, _errors
from latentcore.models.config import ResNetConfig
from latentcore.training.config import Augmentation, ImageConfiguration, TrainConfig


@dataclass(frozen=True)
class EventsConfig:
    """How events are divided, scaled and kept.

    Attributes:
        test: Share of the events by which the model is judged, where no files are given for that. What neither this nor
            `TrainConfig.validation` takes is for training. Each part has the same share of electrons.
        split_seed: From which the parts are drawn.
        scaling: Of the channels, as `latentcore.data.egamma.Normalisation` has it; measured on the training events.
        storage: "resident": training events in the memory of the device, mixed anew in every epoch; "streamed": read
            from the files in every epoch; "auto": resident where they fill less than a quarter of the free memory.
        window: Streamed events that are mixed.
        memory_mb: About how much memory of each process streamed events may hold, in MB.
    """

    test: float = 0.1
    split_seed: int = 42
    scaling: Literal["standard", "nonzero", "maximum"] = "standard"
    storage: Literal["auto", "resident", "streamed"] = "auto"
    window: int = 10_000
    memory_mb: float = 200.0

    def __post_init__(self) -> None:
        _config.check_types(self)
        _config.in_range(self, "test", 0, 0.99)
        _config.in_range(self, "split_seed", 0, 2**63 - 1)
        _config.in_range(self, "window", 1)
        _config.in_range(self, "memory_mb", 1)


@dataclass(frozen=True)
class EgammaConfig(ImageConfiguration):
    """Configuration of a classifier of electrons and photons: its network, its training, and the events.

    The network's `image_shape` must be that of the files.
    """

    _network: ClassVar[str] = "resnet"

    resnet: ResNetConfig = field(default_factory=lambda: ResNetConfig(image_shape=(2, 32, 32), classes=2))
    train: TrainConfig = field(default_factory=TrainConfig)
    events: EventsConfig = field(default_factory=EventsConfig)

    def __post_init__(self) -> None:
        _config.check_types(self)
        if self.resnet.classes != 2:
            _errors.fail_value("ResNetConfig.classes", "2, photon and electron", self.resnet.classes)
        center, (_, height, width) = self.train.augmentation.center, self.resnet.image_shape
        if center is not None and not (0 <= center[0] < width and 0 <= center[1] < height):
            _errors.fail_value("Augmentation.center", f"a point inside of {width} x {height} cells", center)
        if self.train.validation + self.events.test > 0.99:
            _errors.fail_value("EventsConfig.test", f"less than {0.99 - self.train.validation:g}", self.events.test)

    def for_shape(self, shape: tuple[int, ...]) -> Self:
        """The same for events of another size, (C, H, W); the centre of a smaller or larger crop is its own."""
        if shape[1:] == self.resnet.image_shape[1:]:
            return super().for_shape(shape)
        train = replace(self.train, augmentation=replace(self.train.augmentation, center=None))
        return ImageConfiguration.for_shape(replace(self, train=train), shape)


def upgraded(plain: dict[str, Any]) -> dict[str, Any]:
    """What a `config.json` of version 0.1.0 says, where the share for validation stands under `events`."""
    events, train = plain.get("events"), plain.get("train")
    if not isinstance(events, Mapping) or not isinstance(train, Mapping) or "validation" not in events:
        return plain
    others = {name: value for name, value in events.items() if name != "validation"}
    return {**plain, "events": others, "train": {**train, "validation": events["validation"]}}


_FULL = EgammaConfig(
    resnet=ResNetConfig(image_shape=(2, 32, 32), classes=2, dropout=0.2),
    train=TrainConfig(
        epochs=20,
        batch_size=64,
        learning_rate=2e-3,
        schedule="one-cycle",
        weight_decay=1e-2,
        gradient_clip=1.0,
        # showers look the same upside down, and those of either charge mirror each other
        augmentation=Augmentation(mirror="xy", center=(15.0, 15.0)),
        validation=0.1,
        early_stop=6,
        checkpoint_every=500,
        precision="auto",
        channels_last=True,
    ),
)

PRESETS = {
    "egamma": _FULL,
    # for two cores: a sixtieth of the operations; so few channels are faster outside than inside
    "small": replace(
        _FULL,
        resnet=replace(_FULL.resnet, width=0.125, dropout=0.1),
        train=replace(_FULL.train, epochs=10, batch_size=128, learning_rate=5e-3, channels_last=False),
    ),
}
