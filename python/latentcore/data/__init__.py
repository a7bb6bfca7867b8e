"""Images as they lie in files, checked when they are read: bytes, or floats in [0, 1]; and pairs made of them."""

from latentcore.data.arrays import ImageSet, load_images, save_images
from latentcore.data.cifar import load_cifar10, load_cifar100
from latentcore.data.folders import ImageFolder, load_folder
from latentcore.data.images import read_image
from latentcore.data.rotated import RotatedDigits
from latentcore.data.transformations import TransformedImages, transformed

__all__ = [
    "ImageFolder",
    "ImageSet",
    "RotatedDigits",
    "TransformedImages",
    "load_cifar10",
    "load_cifar100",
    "load_folder",
    "load_images",
    "read_image",
    "save_images",
    "transformed",
]
