"""A ResNet-15 for calorimeter events: what the files hold goes in as it is."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latentcore import _checks
from latentcore.models.config import ResNetConfig
from latentcore.models.objectives import Discrimination
from latentcore.models.resnet import ResNet15

# shapes: (N, C, H, W) events, K classes, F features


class EventClassifier(nn.Module):
    """A `ResNet15` behind a scaling of the channels, which belongs to its weights.

    Channel c becomes (x - offset[c]) * factor[c]. Both are buffers: 0 and 1 until `scale_by` sets them.

    Args:
        config: Sizes. The weights are drawn from torch's default generator.

    Example:
        >>> import torch
        >>> from latentcore.models import EventClassifier, ResNetConfig
        >>> model = EventClassifier(ResNetConfig(image_shape=(2, 32, 32), classes=2, width=0.25))
        >>> model.scale_by(offset=(0.01, 0.0), factor=(20.0, 500.0))
        >>> model(torch.rand(5, 2, 32, 32)).shape
        torch.Size([5, 2])
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.image_shape[0]
        self.register_buffer("offset", torch.zeros(channels))
        self.register_buffer("factor", torch.ones(channels))
        self.network = ResNet15(config)

    def scale_by(self, offset: Sequence[float], factor: Sequence[float]) -> None:
        """Set the scaling, a number of each for every channel."""
        for buffer, values in ((self.offset, offset), (self.factor, factor)):
            buffer.copy_(torch.tensor(values))

    def features(self, events: Tensor) -> Tensor:
        """What the last layer reads, (N, F), of events (N, C, H, W)."""
        return self.network.features(self._scaled(events))

    def forward(self, events: Tensor) -> Tensor:
        """Logits (N, K) of the classes, for events (N, C, H, W)."""
        logits: Tensor = self.network(self._scaled(events))
        return logits

    def objective(self) -> Discrimination:
        """What it is trained by."""
        return Discrimination()

    def _scaled(self, events: Tensor) -> Tensor:
        _checks.floating("events", events)
        _checks.shape("events", events, ("N", *self.config.image_shape))
        return (events - self.offset.view(-1, 1, 1)) * self.factor.view(-1, 1, 1)
