"""Images as they lie in files: checked when they are read, uint8 in memory."""

from latentcore.data.arrays import ImageSet, load_images, save_images

__all__ = ["ImageSet", "load_images", "save_images"]
