"""Pictures of what a model draws after each epoch of its training."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from latentcore import plots

# shapes: (N, C, H, W) images


def pictures_of_epochs(folder: Path, draw: Callable[[], Tensor], columns: int) -> Callable[[int], None]:
    """What writes `pictures/epochs/<epochs done>.png` of a run's folder after each epoch, for `minimise` to call.

    Args:
        folder: The run's folder.
        draw: Images (N, C, H, W) in [0, 1] of the model as it is, of the same latents each time.
        columns: Images in a row.
    """
    place = folder / "pictures" / "epochs"
    place.mkdir(parents=True, exist_ok=True)

    @torch.no_grad()
    def write(epochs: int) -> None:
        grid = torch.from_numpy(plots.image_grid(draw(), columns))
        image = grid.permute(2, 0, 1) if grid.dim() == 3 else grid.unsqueeze(0)
        plots.save_image(image, place / f"{epochs:04d}.png")

    return write
