"""Where the suites on MNIST find it."""

from pathlib import Path

from latentcore.data import ImageSet
from latentcore.data.examples import Where
from latentcore.data.image_sets import IMAGES


def read(data: Path | None) -> tuple[ImageSet, ImageSet]:
    """Training and test images of a folder, or of where LATENTCORE_DATA says."""
    found = IMAGES.opened(Where(() if data is None else (str(data),)), None)
    return found.train, found.test
