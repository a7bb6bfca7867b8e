"""The one training loop."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from latentcore import _errors, _native
from latentcore._ambient import torch_as_usual
from latentcore._files import inside
from latentcore._memory import FreedMemory
from latentcore._tensors import load_tensors
from latentcore.data.convert import as_images
from latentcore.models.base import EncoderDecoder
from latentcore.models.files import load_state
from latentcore.models.objectives import Objective, flattened, objective_of
from latentcore.training.checkpoint import State, last_path, model_path
from latentcore.training.config import TrainConfig
from latentcore.training.ema import Averages
from latentcore.training.gradients import Gradients, noise_from
from latentcore.training.journal import Journal
from latentcore.training.loss_check import LossCheck
from latentcore.training.optimizer import LeanAdamW, schedule_of
from latentcore.training.plan import Plan
from latentcore.training.processes import alone, precision_of, set_up
from latentcore.training.sources import Images, Source

# shapes: (N, C, H, W) images

# what it says of precision and devices stands in config.json
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)

_GROWN = 2.0  # times the norm of the weights, after which the last step's loss says little of them
_LOOK_AFTER = 2.0  # seconds between two looks at the loss, for each makes the device wait


@torch_as_usual()
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
        FloatingPointError: The loss has exploded, or is not finite any more; the last checkpoint is from before.
        TypeError: The model is of an unknown kind, or the images have an unknown dtype.
        ValueError: The images have another shape or range, the checkpoint is not this run's, or an early stop is wanted
            without validation.

    Example:
        >>> from latentcore.models import VAE, VAEConfig
        >>> from latentcore.training import TrainConfig, create_run, fit
        >>> images = torch.randint(256, (256, 28, 28), dtype=torch.uint8)
        >>> config = TrainConfig(epochs=2)
        >>> folder = create_run("vae", {"train": config.to_dict()})  # doctest: +SKIP
        >>> history = fit(VAE(VAEConfig()), images, config, folder)  # doctest: +SKIP
    """
    shape = model.config.image_shape
    source = Images(as_images(images, shape), config.augmentation, config.reconstruct, binarise=config.binarise)
    held_out = None if validation is None else Images(as_images(validation, shape, "validation"))
    return minimise(model, objective_of(model), source, config, folder, validation=held_out, resume=resume)


@torch_as_usual()
def minimise(
    model: nn.Module,
    objective: Objective,
    source: Source,
    config: TrainConfig,
    folder: Path,
    *,
    validation: Source | None = None,
    resume: bool = False,
    fabric: Fabric | None = None,
    watch: Callable[[int], None] | None = None,
) -> list[dict[str, float]]:
    """Train any model on any source, as `fit` trains autoencoders.

    Args:
        model: Its parameters that require a gradient are trained.
        objective: The terms of the loss for a batch of the source. A step of a long training is recorded and replayed
            where model and objective do the same work each time, and keep nothing but tensors that they write in place;
            `TrainConfig.record`.
        source: What is learned from; it is moved to the device.
        config: How to train; what it says of augmentation is the source's business.
        folder: Run folder, as `create_run` makes it.
        validation: What the terms are measured on after each epoch.
        resume: Go on from `checkpoints/last.pth`, where there is one, be it within an epoch.
        fabric: Where and how to compute, for example `training.processes.together`; None: this process alone,
            as the configuration says.
        watch: Called by the first process after each epoch with the number of epochs that are done, while `model` is in
            evaluation mode and has the weights that are kept.

    Returns:
        The rows of `metrics.csv`: per epoch the objective's figures, seconds, and examples per second.

    Raises:
        FloatingPointError: The loss has exploded, or is not finite any more; the last checkpoint is from before.
        ValueError: The checkpoint is not this run's, a batch cannot be shared by the processes, an early stop is wanted
            without validation, or the model was made in torch's inference mode.
    """
    if config.early_stop and validation is None:
        _errors.fail_value("TrainConfig.early_stop", "0 without validation data, or such data", config.early_stop)
    if any(parameter.is_inference() for parameter in model.parameters()):
        _errors.fail_value("model", "parameters that were made outside torch.inference_mode()", "some made inside")
    fabric = fabric or alone(config)
    held_out = None if validation is None else validation.to(fabric.device)
    plan = Plan(config, source.to(fabric.device), fabric.global_rank, fabric.world_size)
    loop = _Loop(fabric, model, objective, plan, folder)
    state = loop.state
    if resume and last_path(folder).exists():
        state.restore(folder, plan)
    unit, bar = plan.source.unit, fabric.is_global_zero
    journal = Journal(folder, epochs=config.epochs, steps=plan.steps, done=state.steps_done(plan), unit=unit, bar=bar)
    own_generators = torch.random.fork_rng([fabric.device] if fabric.device.type == "cuda" else [])
    with flushed_denormals(), journal, own_generators:
        while len(state.history) < config.epochs and not _stopped(state, config):
            row = loop.train_epoch(journal)
            state.finish(row if held_out is None else row | loop.validate(held_out))
            loop.save()
            if fabric.is_global_zero:
                journal.write(state.history)
                if watch is not None:
                    loop.show_to(watch)
    fabric.barrier()
    load_state(model, load_tensors(inside(folder, model_path(folder))), str(model_path(folder)))
    model.eval()
    return state.history


class _Loop:
    """Steps and epochs of one training."""

    def __init__(self, fabric: Fabric, model: nn.Module, objective: Objective, plan: Plan, folder: Path) -> None:
        self.fabric, self.plan, self.objective, self.folder = fabric, plan, objective, folder
        self.freed, self.loss_check = FreedMemory(), LossCheck(objective)
        if precision_of(plan.config) != "64-true":  # the other one Fabric sees to
            model.float()
        memory_format = torch.channels_last if plan.config.channels_last else torch.contiguous_format
        model.to(fabric.device).to(memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub lacks it
        self._learned: list[Tensor] = [parameter for parameter in model.parameters() if parameter.requires_grad]
        rate, decay = plan.config.learning_rate, plan.config.weight_decay
        self.optimizer = LeanAdamW(self._learned, lr=rate, betas=plan.config.betas, weight_decay=decay, fused=True)
        self.model = set_up(fabric, model, plan.config)
        self.gradients = Gradients(fabric, self.model, model, objective, plan)
        averages = Averages(model, plan.config.ema) if plan.config.ema else None
        self._norm = self._norm_of_weights()
        self.state = State(model, self.optimizer, schedule_of(self.optimizer, plan), self.gradients.totals, averages)

    def train_epoch(self, journal: Journal) -> dict[str, float]:
        """Do what is left of the epoch."""
        epoch, first, steps = len(self.state.history), self.state.step, self.plan.steps
        watch = _Watch(self.state.seconds)
        self.gradients.begin(epoch, first)
        self._seed_layers(epoch, first)
        for done in range(first + 1, steps + 1):
            self._step()
            journal.step()
            self.loss_check.see(self.gradients.totals, done)
            if watch.due():
                self._show(journal, epoch, self.gradients.totals / done, done, watch)
            if self._checkpoint_after(done):
                self.state.step, self.state.seconds = done, watch.seconds()
                # from here on all processes begin with the mean, of which the first one's file tells
                self.gradients.totals.copy_(self._mean_of_processes(self.gradients.totals))
                self.loss_check.sound(self.gradients.totals / done, epoch)
                self.save()
                self._seed_layers(epoch, done)
        figures = self._show(journal, epoch, self._mean_of_processes(self.gradients.totals) / steps, steps, watch)
        seconds = watch.seconds()
        rate = steps * self.plan.batch_size / seconds
        return {"epoch": epoch, **figures, "seconds": seconds, f"{self.plan.source.unit}_per_second": rate}

    @torch.no_grad()
    def validate(self, source: Source) -> dict[str, float]:
        """The figures of the weights that are kept."""
        plan, batch_size = self.plan, self.plan.batch_size
        totals = torch.zeros(self.objective.size, device=self.fabric.device)
        source.begin(None, 0, batch_size)
        self.state.model.eval()
        with self.state.kept():
            parts = torch.arange(len(source), device=source.device).split(batch_size)
            for index, rows in enumerate(self.freed.between(parts)):
                source.advance()
                own, draws = plan.share(rows), plan.validation_draws(source, index, len(rows))
                if len(own):
                    batch, seed = source.batch(own, draws), plan.validation_seed(index)
                    with noise_from(plan.first_row(len(rows))):
                        terms = self.objective(self.model, batch, beta=plan.config.beta, seed=seed)
                    totals += len(own) * flattened(self.objective, terms)
        means = self._mean_of_processes(totals) * plan.processes / len(source)
        figures = self.loss_check.finite(means, len(self.state.history))
        return {f"validation_{name}": value for name, value in figures.items()}

    def save(self) -> None:
        """Write a checkpoint of weights that have not exploded; the other processes have the same to say."""
        before, self._norm = self._norm, self._norm_of_weights()
        if not self._norm <= _GROWN * before:  # so that the loss may be far from that of the last step, before it
            epoch = len(self.state.history) - (self.state.step == 0)
            self.loss_check.sound(self._mean_of_processes(self.gradients.again()), epoch)
        if self.fabric.is_global_zero:
            self.state.save(self.folder, self.plan)

    def show_to(self, watch: Callable[[int], None]) -> None:
        """Let somebody look at the weights that are kept."""
        self.state.model.eval()
        with self.state.kept():
            watch(len(self.state.history))

    @torch.no_grad()
    def _norm_of_weights(self) -> float:
        return float(nn.utils.get_total_norm(self._learned))

    def _step(self) -> None:
        self.gradients()
        self.optimizer.step()
        self.state.scheduler.step()
        if self.state.averages is not None:
            self.state.averages.update()
        self.freed.round()

    def _checkpoint_after(self, step: int) -> bool:
        every = self.plan.config.checkpoint_every
        return every > 0 and step % every == 0 and step < self.plan.steps

    def _seed_layers(self, epoch: int, step: int) -> None:
        """Wherever a training may be taken up, it goes on with random numbers of that step."""
        torch.manual_seed(self.plan.layer_seed(epoch, step))

    def _show(self, journal: Journal, epoch: int, means: Tensor, done: int, watch: "_Watch") -> dict[str, float]:
        figures = self.loss_check.sound(means, epoch)
        journal.show(epoch, figures, done * self.plan.batch_size / watch.seconds())
        return figures

    def _mean_of_processes(self, sums: Tensor) -> Tensor:
        means: Tensor = self.fabric.all_reduce(sums, reduce_op="mean")  # type: ignore[assignment]
        return means


class _Watch:
    """The seconds of an epoch, and when it is time to look at the loss."""

    def __init__(self, before: float) -> None:
        self._looked = time.perf_counter()
        self._began = self._looked - before

    def seconds(self) -> float:
        """Since the epoch began, without interruptions."""
        return time.perf_counter() - self._began

    def due(self) -> bool:
        """Whether the last look was long ago; then it is now."""
        if time.perf_counter() - self._looked < _LOOK_AFTER:
            return False
        self._looked = time.perf_counter()
        return True


def _stopped(state: State, config: TrainConfig) -> bool:
    return 0 < config.early_stop <= state.epochs_without_gain


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Treat denormal numbers as zero inside: optimiser states decay into them, and CPUs are slow on them."""
    before = bool(torch.tensor(2.0**-1060, dtype=torch.float64) * 1.0 == 0)
    _native.flush_denormals(True)
    try:
        yield
    finally:
        _native.flush_denormals(before)
