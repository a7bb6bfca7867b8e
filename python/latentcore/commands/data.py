"""`latentcore data`."""

from collections.abc import Sequence
from pathlib import Path

from latentcore.commands.inputs import data_folder
from latentcore.data import ImageSet, mnist, save_images


def fetch(*, name: str, out: Path, source: Path | None) -> None:
    """Get a data set; `name` is "mnist", the only one so far."""
    print(f"MNIST's four files are in {mnist.fetch(out, source)}")


def export(
    *, data: Path | None, out: Path, classes: Sequence[int] | None, labels_per_class: int | None, seed: int | None
) -> None:
    """Write the NumPy files of the few-label protocol: train.npz (no labels), val.npz (a few), test.npz."""
    classes = classes or (1, 4, 8)
    folder = data_folder(data)
    train = mnist.load(folder, "train").select(classes)
    files = {
        "train.npz": ImageSet(train.images),
        "val.npz": train.draw(labels_per_class or 5, seed=seed or 0),
        "test.npz": mnist.load(folder, "test").select(classes),
    }
    for name, images in files.items():
        save_images(out / name, images)
        print(f"{out / name}: {len(images)} images, {'no labels' if images.labels is None else 'labels'}")
