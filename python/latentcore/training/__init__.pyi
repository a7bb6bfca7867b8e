from latentcore.training.config import Augmentation as Augmentation, TrainConfig as TrainConfig
from latentcore.training.folder import create_run as create_run
from latentcore.training.loop import fit as fit
from latentcore.training.run import Run as Run
