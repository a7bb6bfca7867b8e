"""The one training loop."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from latentcore._tensors import load_tensors
from latentcore.models.files import load_state
from latentcore.models.networks import EncoderDecoder
from latentcore.train.checkpoint import State, last_path, model_path
from latentcore.train.config import TrainConfig
from latentcore.train.gradients import Gradients
from latentcore.train.inputs import as_images
from latentcore.train.journal import Journal
from latentcore.train.objectives import Objective, objective_of
from latentcore.train.plan import Plan
from latentcore.train.precision import precision_of
from latentcore.train.sources import Images, Source

# shapes: (N, C, H, W) images

# what it says of precision and devices stands in config.json
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

_READS = 4  # times per epoch that the loss is read, for each read makes the device wait


def fit(
    model: EncoderDecoder,
    images: Any,
    config: TrainConfig,
    folder: Path,
    *,
    validation: Any = None,
    resume: bool = False,
) -> list[dict[str, float]]:
    """Train a model and write what is learned to its run folder.

    After every epoch `checkpoints/last.pth`, `checkpoints/model.pth` (the best model: of lowest validation loss, or
    the last one without validation) and `metrics.csv` are replaced, each at once; an interruption leaves them whole.

    Args:
        model: A `VAE` or `Autoencoder`. It ends with the best weights, in evaluation mode, on the device.
        images: Training images (N, C, H, W) or (N, H, W), uint8 or float in [0, 1]; uint8 stays uint8 on the device.
        config: How to train.
        folder: Run folder, as `create_run` makes it.
        validation: Images on which a loss is measured after each epoch, with the full beta.
        resume: Go on from `checkpoints/last.pth`, where there is one, to bitwise the result of an undisturbed run.

    Returns:
        The rows of `metrics.csv`: per epoch the terms of the loss in nats per image, seconds, and images per second.

    Raises:
        FloatingPointError: The loss is not finite any more; the last checkpoint is from before.
        TypeError: The model is of an unknown kind, or the images have an unknown dtype.
        ValueError: The images have another shape or range, or the checkpoint is not this run's.

    Example:
        >>> from latentcore.models import VAE, VAEConfig
        >>> from latentcore.train import TrainConfig, create_run, fit
        >>> images = torch.randint(256, (256, 28, 28), dtype=torch.uint8)
        >>> config = TrainConfig(epochs=2)
        >>> folder = create_run("vae", {"train": config.to_dict()})  # doctest: +SKIP
        >>> history = fit(VAE(VAEConfig()), images, config, folder)  # doctest: +SKIP
    """
    shape = model.config.image_shape
    source = Images(as_images(images, shape), config.augmentation, config.reconstruct)
    held_out = None if validation is None else Images(as_images(validation, shape, "validation"))
    return minimise(model, objective_of(model), source, config, folder, validation=held_out, resume=resume)


def minimise(
    model: nn.Module,
    objective: Objective,
    source: Source,
    config: TrainConfig,
    folder: Path,
    *,
    validation: Source | None = None,
    resume: bool = False,
) -> list[dict[str, float]]:
    """Train any model on any source, as `fit` trains autoencoders.

    Args:
        model: Its parameters that require a gradient are trained.
        objective: The terms of the loss for a batch of the source.
        source: What is learned from; it is moved to the device.
        config: How to train; what it says of augmentation is the source's business.
        folder: Run folder, as `create_run` makes it.
        validation: What the terms are measured on after each epoch.
        resume: Go on from `checkpoints/last.pth`, where there is one.

    Returns:
        The rows of `metrics.csv`: per epoch the objective's terms, seconds, and examples per second.

    Raises:
        FloatingPointError: The loss is not finite any more; the last checkpoint is from before.
        ValueError: The checkpoint is not this run's.
    """
    fabric = Fabric(accelerator=config.device, devices=1, precision=precision_of(config))
    held_out = None if validation is None else validation.to(fabric.device)
    loop = _Loop(fabric, model, objective, Plan(config, source.to(fabric.device)))
    state = loop.state
    if resume and last_path(folder).exists():
        state.restore(folder, loop.plan)
    journal = Journal(folder, epochs=config.epochs, steps=loop.plan.steps, done=len(state.history))
    own_generators = torch.random.fork_rng([fabric.device] if fabric.device.type == "cuda" else [])
    with flushed_denormals(), journal, own_generators:
        while len(state.history) < config.epochs and not _stopped(state, config):
            row = loop.train_epoch(len(state.history), journal)
            state.history.append(row if held_out is None else row | loop.validate(held_out))
            state.save(folder, loop.plan)
            journal.write(state.history)
    load_state(model, load_tensors(model_path(folder)), str(model_path(folder)))
    model.eval()
    return state.history


class _Loop:
    """Steps and epochs of one training."""

    def __init__(self, fabric: Fabric, model: nn.Module, objective: Objective, plan: Plan) -> None:
        self.fabric, self.plan, self.objective = fabric, plan, objective
        memory_format = torch.channels_last if plan.config.channels_last else torch.contiguous_format
        model.to(fabric.device).to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub lacks it
        learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
        rate, decay = plan.config.learning_rate, plan.config.weight_decay
        self.optimizer = AdamW(learned, lr=rate, weight_decay=decay, fused=True)
        self.state = State(model, self.optimizer, _schedule(self.optimizer, plan))
        self.model = fabric.setup(model)
        self.gradients = Gradients(fabric, self.model, model, objective, plan)

    def train_epoch(self, epoch: int, journal: Journal) -> dict[str, float]:
        steps, batch_size, began = self.plan.steps, self.plan.batch_size, time.perf_counter()
        torch.manual_seed(self.plan.layer_seed(epoch))
        self.gradients.begin(epoch)
        for done in range(1, steps + 1):
            self.gradients()
            self.optimizer.step()
            self.state.scheduler.step()
            journal.step()
            if done * _READS // steps > (done - 1) * _READS // steps:
                means = self._finite(self.gradients.totals / done, epoch)
                seconds = time.perf_counter() - began
                journal.show(epoch, means["loss"], done * batch_size / seconds)
        return {"epoch": epoch, **means, "seconds": seconds, "images_per_second": steps * batch_size / seconds}

    @torch.no_grad()
    def validate(self, source: Source) -> dict[str, float]:
        self.state.model.eval()
        totals = torch.zeros(len(self.objective.terms), device=self.fabric.device)
        for index, rows in enumerate(torch.arange(len(source), device=source.device).split(self.plan.batch_size)):
            batch = source.batch(rows, self.plan.validation_draws(source, index, len(rows)))
            seed, beta = self.plan.validation_seed(index), self.plan.config.beta
            totals += len(rows) * torch.stack(list(self.objective(self.model, batch, beta=beta, seed=seed)))
        means = self._finite(totals / len(source), len(self.state.history))
        return {f"validation_{term}": mean for term, mean in means.items()}

    def _finite(self, means: Tensor, epoch: int) -> dict[str, float]:
        """The means by name; this waits for the device."""
        terms = dict(zip(self.objective.terms, means.tolist(), strict=True))
        if not all(math.isfinite(mean) for mean in terms.values()):
            raise FloatingPointError(
                f"loss: expected finite numbers, got {terms} in epoch {epoch}; lower learning_rate"
            )
        return terms


def _schedule(optimizer: AdamW, plan: Plan) -> LRScheduler:
    config = plan.config
    if config.schedule == "one-cycle":
        # torch divides by the steps that lead up to the peak less one: a single one is left out
        pct_start = 0.0 if config.pct_start * plan.total == 1 else config.pct_start
        return OneCycleLR(optimizer, config.learning_rate, total_steps=plan.total, pct_start=pct_start)
    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def _stopped(state: State, config: TrainConfig) -> bool:
    return 0 < config.early_stop <= state.epochs_without_gain


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero inside: optimiser states decay into them, and CPUs are slow on them."""
    before = bool(torch.tensor(2.0**-1060, dtype=torch.float64) * 1.0 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
