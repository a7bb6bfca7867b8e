"""The loops that studies of autoencoders are written as: plain torch, a DataLoader, an image at a time.

They are what the suite `autoencoders` compares with. An image becomes a tensor as torchvision's `MNIST` and `ToTensor`
make one (0.29): through a PIL image.
"""

import sys
import time
from typing import Any

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

# shapes: (N, 1, 28, 28) images, (N, L) latents


class Digits(Dataset[tuple[Tensor, int]]):
    """MNIST as torchvision's data set gives it out: the same steps for each image."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self._images, self._labels = images[:, 0].contiguous(), labels
        self._transform = ToTensor()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        pixels, label = self._images[index], int(self._labels[index])
        return self._transform(_picture(pixels.numpy())), label


def _picture(pixels: np.ndarray) -> Image.Image:
    """torchvision.utils._Image_fromarray, which looks at Pillow's version each time."""
    version = tuple(int(part) for part in PIL.__version__.split("."))
    return Image.fromarray(pixels) if version >= (11, 3) else Image.fromarray(pixels, mode="L")


class ToTensor:
    """torchvision.transforms.ToTensor for PIL images, check by check."""

    def __call__(self, picture: Image.Image) -> Tensor:
        if not torch.jit.is_scripting() and not torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
            torch._C._log_api_usage_once(f"{self.__module__}.{type(self).__name__}")
        assert _is_picture(picture)
        dtype = torch.get_default_dtype()
        little = sys.byteorder == "little"
        kinds: dict[str, Any] = {"I": np.int32, "I;16" if little else "I;16B": np.int16, "F": np.float32}
        tensor = torch.from_numpy(np.array(picture, kinds.get(picture.mode, np.uint8), copy=True))
        assert picture.mode != "1"
        tensor = tensor.view(picture.size[1], picture.size[0], _channels(picture))
        tensor = tensor.permute((2, 0, 1)).contiguous()
        assert isinstance(tensor, torch.ByteTensor)
        return tensor.to(dtype=dtype).div(255)


def _is_picture(picture: Image.Image) -> bool:
    return isinstance(picture, Image.Image)


def _channels(picture: Image.Image) -> int:
    assert _is_picture(picture)
    assert hasattr(picture, "getbands")
    return len(picture.getbands())


class PlainVAE(nn.Module):
    """784-128-2-128-784."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mu, self.logvar = nn.Linear(784, 128), nn.Linear(128, 2), nn.Linear(128, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 784), nn.Sigmoid())

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.hidden(images.flatten(1)))
        return self.mu(hidden), self.logvar(hidden)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(images)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decoder(z).view_as(images), mu, logvar


class PlainConvVAE(nn.Module):
    """Two convolutions of stride 2, 256 hidden units, 32 latents, and the same backwards."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU(), nn.Flatten()
        )
        self.hidden, self.mu, self.logvar = nn.Linear(3136, 256), nn.Linear(256, 32), nn.Linear(256, 32)
        self.decoder = nn.Sequential(
            nn.Linear(32, 256),
            nn.ReLU(),
            nn.Linear(256, 3136),
            nn.ReLU(),
            nn.Unflatten(1, (64, 7, 7)),
            nn.ConvTranspose2d(64, 32, 3, 2, 1, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3, 2, 1, 1),
            nn.Sigmoid(),
        )

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.hidden(self.convolutions(images)))
        return self.mu(hidden), self.logvar(hidden)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mu, logvar = self.encode(images)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.decoder(z), mu, logvar


class Study:
    """A model in training.

    Args:
        model: `PlainVAE` or `PlainConvVAE`.
        images: (N, 1, 28, 28), uint8.
        labels: (N,), which the loader gives out too.
    """

    def __init__(self, model: PlainVAE | PlainConvVAE, images: Tensor, labels: Tensor) -> None:
        self.model = model
        self._loader = DataLoader(Digits(images, labels), 128, shuffle=True)
        self._optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def epoch(self) -> float:
        """Train for an epoch; seconds."""
        self.model.train()
        began = time.perf_counter()
        for images, _ in self._loader:
            self._optimizer.zero_grad()
            drawn, mu, logvar = self.model(images)
            _nats(drawn, mu, logvar, images).backward()
            self._optimizer.step()
        return time.perf_counter() - began

    @torch.no_grad()
    def test_nats(self, images: Tensor) -> float:
        """Cross entropy + KL of (N, 1, 28, 28) uint8 images, a sample each, per image."""
        self.model.eval()
        torch.manual_seed(0)
        pixels = images / 255
        drawn, mu, logvar = self.model(pixels)
        return float(_nats(drawn, mu, logvar, pixels)) / len(images)


def _nats(drawn: Tensor, mu: Tensor, logvar: Tensor, images: Tensor) -> Tensor:
    entropy = F.binary_cross_entropy(drawn, images, reduction="sum")
    return entropy - 0.5 * torch.sum(1 + logvar - mu.square() - logvar.exp())
