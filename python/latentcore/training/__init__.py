"""Training: the one loop, its configuration, run folders, and the systems that are built on them."""

from latentcore.training.config import Augmentation, TrainConfig
from latentcore.training.loop import fit
from latentcore.training.runs import Run, create_run, load_run

__all__ = ["Augmentation", "Run", "TrainConfig", "create_run", "fit", "load_run"]
