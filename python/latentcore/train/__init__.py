"""Training: the one loop, its configuration, run folders, and the systems that are built on them."""

from latentcore.train.config import Augmentation, TrainConfig
from latentcore.train.loop import fit
from latentcore.train.runs import Run, create_run, load_run

__all__ = ["Augmentation", "Run", "TrainConfig", "create_run", "fit", "load_run"]
