"""ResNet-15: a small residual network for small images."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from latentcore import _checks
from latentcore.models.config import ResNetConfig
from latentcore.models.objectives import CrossEntropy

# shapes: (N, C, H, W) images, K classes, F features


class ResNet15(nn.Module):
    """A 3x3 stem and four residual blocks, of which the last three halve the image, then the mean over the image.

    Args:
        config: Sizes. The weights are drawn from torch's default generator.

    Example:
        >>> import torch
        >>> from latentcore.models import ResNet15, ResNetConfig
        >>> model = ResNet15(ResNetConfig(image_shape=(2, 32, 32), classes=2, width=0.25))
        >>> images = torch.rand(5, 2, 32, 32)
        >>> model(images).shape, model.features(images).shape
        (torch.Size([5, 2]), torch.Size([5, 128]))

    Reference:
        He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2016.
    """

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.config = config
        stem = config.channels[0]
        self.stem = nn.Sequential(_convolution(config.image_shape[0], stem, 3), nn.BatchNorm2d(stem), nn.ReLU())
        sizes = pairwise((stem, *config.channels))
        self.blocks = nn.Sequential(
            *(
                ResidualBlock(before, after, stride=1 if place == 0 else 2)
                for place, (before, after) in enumerate(sizes)
            )
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.channels[-1], config.classes)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer reads, (N, F), of images (N, C, H, W)."""
        _checks.floating("images", images)
        _checks.shape("images", images, ("N", *self.config.image_shape))
        maps: Tensor = self.blocks(self.stem(images))
        return maps.mean(dim=(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K) of the classes, for images (N, C, H, W)."""
        logits: Tensor = self.head(self.dropout(self.features(images)))
        return logits

    def objective(self) -> CrossEntropy:
        """What it is trained by."""
        return CrossEntropy()


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes.

    Where the image is halved, the shortcut leaves pixels out first and convolves with stride 1: a 1x1 convolution with
    a greater stride can have wrong gradients in oneDNN (`docs/numerics.md`).
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _convolution(before, after, 3, stride),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            _convolution(after, after, 3),
            nn.BatchNorm2d(after),
        )
        # the mean of one pixel: unlike a slice, it keeps the order of memory forward and backward
        self.thinning: nn.Module = nn.AvgPool2d(1, stride) if stride != 1 else nn.Identity()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(_convolution(before, after, 1), nn.BatchNorm2d(after))

    def forward(self, maps: Tensor) -> Tensor:
        """(N, before, H, W) -> (N, after, H / stride, W / stride), rounded up."""
        return F.relu(self.body(maps) + self.shortcut(self.thinning(maps)))


def _convolution(before: int, after: int, size: int, stride: int = 1) -> nn.Conv2d:
    # batch normalisation follows and has a bias of its own
    return nn.Conv2d(before, after, size, stride, padding=size // 2, bias=False)
