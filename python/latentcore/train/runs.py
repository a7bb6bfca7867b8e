"""Run folders: making them, and using what was trained in them."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentcore import _checks, _config
from latentcore._files import replacing
from latentcore._tensors import load_tensors
from latentcore.models import VAE, Autoencoder, AutoencoderConfig, VAEConfig
from latentcore.models.files import load_state
from latentcore.train.inputs import as_images, as_latents, to_unit

# shapes: (N, C, H, W) images, (N, L) latents

_KINDS: dict[str, tuple[type[VAE] | type[Autoencoder], type[VAEConfig] | type[AutoencoderConfig]]] = {
    "vae": (VAE, VAEConfig),
    "autoencoder": (Autoencoder, AutoencoderConfig),
}
_BATCH = 4096  # images at a time, so that memory does not grow with N


def create_run(system: str, config: Mapping[str, Any], run_dir: str | os.PathLike[str] | None = None) -> Path:
    """Make a run's folder and write its `config.json`.

    Args:
        system: The system's name; the first part of the folder's.
        config: The configuration, as plain data.
        run_dir: The folder; ``None`` makes ``runs/<system>-<UTC yyyymmddThhmmss>``, with a number behind it where
            that is taken.

    Raises:
        ValueError: ``run_dir`` holds a run already; nothing is ever overwritten.
    """
    folder = _new_folder(system) if run_dir is None else Path(run_dir)
    if (folder / "config.json").exists():
        _checks.fail_value("run_dir", "a folder without a run in it", str(folder))
    for name in ("checkpoints", "pictures", "tensorboard"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"system": system, **config})
    return folder


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON, or not an object.
    """
    try:
        content = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        _checks.fail_value(str(path), "a JSON file", str(error))
    if not isinstance(content, dict):
        _checks.fail_value(str(path), "a JSON object", type(content).__name__)
    return content


class Run:
    """A trained system: what its run folder holds, ready for use on the CPU.

    Attributes:
        folder: The run folder.
        config: Content of `config.json`.
        model: The trained model, in evaluation mode.
    """

    def __init__(self, folder: Path, config: dict[str, Any], model: VAE | Autoencoder) -> None:
        self.folder = folder
        self.config = config
        self.model = model.eval()

    @property
    def metrics(self) -> dict[str, Any]:
        """Final figures, from `metrics.json`."""
        return read_json(self.folder / "metrics.json")

    @torch.no_grad()
    def encode(self, images: Any) -> Tensor:
        """Latent means (N, L) of images (N, H, W) or (N, C, H, W), uint8 or float in [0, 1], NumPy or torch."""
        batches = as_images(images, self.model.config.image_shape).split(_BATCH)
        return torch.cat([self._means(to_unit(batch.cpu())) for batch in batches])

    @torch.no_grad()
    def decode(self, z: Any) -> Tensor:
        """Images (N, C, H, W) in [0, 1] for latents z (N, L)."""
        batches = as_latents(z, self.model.config.latent).split(_BATCH)
        return torch.cat([self.model.decode(batch.cpu()) for batch in batches])

    def reconstruct(self, images: Any) -> Tensor:
        """decode(encode(images)): images (N, C, H, W) in [0, 1]."""
        return self.decode(self.encode(images))

    def sample(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` images (n, C, H, W), decoded from the standard normal prior."""
        _checks.integer("n", n, 1, 2**31)
        generator = torch.Generator().manual_seed(seed)
        return self.decode(torch.randn(n, self.model.config.latent, generator=generator))

    def classify(self, images: Any) -> Tensor:
        """Labels (N,) of images; a system without a classifier raises TypeError."""
        raise TypeError(f"classify: the system {self.config['system']!r} of {self.folder} does not classify")

    def _means(self, images: Tensor) -> Tensor:
        return self.model.encode(images)[0] if isinstance(self.model, VAE) else self.model.encode(images)


def load_run(folder: str | os.PathLike[str]) -> Run:
    """Open a run folder.

    Args:
        folder: A folder that training made, with `config.json` and `checkpoints/`.

    Returns:
        The run, with ``encode(images)``, ``decode(z)``, ``sample(n)`` and, where the system has it,
        ``classify(images)``.

    Raises:
        FileNotFoundError: The folder or a file of it is missing.
        ValueError: A file is damaged, holds code, or is of another model.

    Example:
        >>> run = latentcore.load_run("runs/digits148-20260101T120000")  # doctest: +SKIP
        >>> run.decode(run.encode(images)).shape  # doctest: +SKIP
        torch.Size([10, 1, 28, 28])
    """
    folder = Path(folder)
    config = read_json(folder / "config.json")
    if not isinstance(config.get("system"), str):
        _checks.fail_value(str(folder / "config.json"), "the name of a system under 'system'", config.get("system"))
    model = load_model(folder, config)
    if "mixture" not in config:
        return Run(folder, config, model)
    from latentcore.train.few_label import FewLabelRun  # the system builds on this module

    return FewLabelRun.open(folder, config, model)


def load_model(folder: Path, config: Mapping[str, Any]) -> VAE | Autoencoder:
    """The model that `config` describes, with the weights of the folder's `checkpoints/model.pth`."""
    kind = next((kind for kind in _KINDS if kind in config), None)
    if kind is None:
        _checks.fail_value(str(folder / "config.json"), " or ".join(map(repr, _KINDS)), f"the fields {list(config)}")
    model_kind, config_kind = _KINDS[kind]
    path = folder / "checkpoints" / "model.pth"
    state = load_tensors(path)
    plan = _config.from_plain(config_kind, config[kind], kind)
    try:
        with torch.device("meta"):  # sizes of a damaged file take no memory
            model = model_kind(plan)
    except RuntimeError as error:
        _checks.fail_value(str(folder / "config.json"), f"the sizes of a {kind}", str(error))
    load_state(model, state, str(path), assign=True)
    return model


def _new_folder(system: str) -> Path:
    stem = Path("runs") / f"{system}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    folder, number = stem, 1
    while True:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
            folder = stem.with_name(f"{stem.name}-{number}")
        else:
            return folder
