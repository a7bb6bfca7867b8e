"""An encoder whose patches look at each other."""

import torch
from torch import Tensor, nn

# shapes: (N, C, H, W) images, P patches of an image, F numbers for each


class PatchAttention(nn.Module):
    """Square patches of an image, brought to vectors that attend to each other; their mean is what is read.

    Args:
        image_shape: (C, H, W); H and W are multiples of `patch`.
        patch: Pixels along a patch.
        width: F, a multiple of `heads`.
        layers: How often the patches look at each other.
        heads: Attention heads.

    Reference:
        Dosovitskiy et al., "An image is worth 16x16 words", 2021.
    """

    def __init__(self, image_shape: tuple[int, int, int], patch: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        channels, height, columns = image_shape
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.places = nn.Parameter(0.02 * torch.randn((height // patch) * (columns // patch), width))
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, F)."""
        vectors = self.patches(images).flatten(2).transpose(1, 2) + self.places  # (N, P, F)
        looked: Tensor = self.layers(vectors)
        return looked.mean(1)
