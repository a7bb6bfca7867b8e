"""`latentcore demo`."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore import _extras, systems
from latentcore.terminal.parsing import Parser, folder_name, seed_number

# 900 images instead of 18,000: smaller batches, more epochs, fewer components
TRAIN = {"epochs": 120, "batch_size": 64, "learning_rate": 3e-3}
_COMPONENTS = 8
_SHOWN = {"F1 score": ("f1", ""), "accuracy": ("accuracy", ""), "SSIM": ("ssim", ""), "PSNR": ("psnr", " dB")}


def demo(words: list[str]) -> None:
    """Train, cluster, classify and rotate the digits that come with the package; leave a table, pictures and a page."""
    parser = Parser("demo", "train, cluster, classify and rotate the digits that come with the package")
    parser.add_argument("--run-dir", type=folder_name, metavar="DIR", help="the run's folder (runs/few-label-<time>)")
    parser.add_argument("--seed", type=seed_number, default=0, metavar="N", help="of all that is drawn (0)")
    told = parser.told(words)
    _demo(told["run_dir"], told["seed"])


def _demo(run_dir: Path | None, seed: int) -> None:
    _extras.need("report", "train")
    from latentcore._files import write_json
    from latentcore.data import mnist
    from latentcore.data.examples import Where
    from latentcore.report.writing import write_report
    from latentcore.training import driver

    system = systems.find("few-label")
    config = _config(system.preset, seed)
    examples = system.part("data").opened(Where(("digits",)), config)
    print(
        f"A VAE learns {len(examples.train)} digits ({', '.join(map(str, config.classes))}) without labels; a Gaussian "
        f"mixture\nin its latent plane, read with {config.labels_per_class} labels a class, classifies "
        f"{len(examples.test)} test digits."
    )
    began = time.perf_counter()
    run = driver.train(system, examples, config, run_dir)
    found = system.part("evaluate")(run, replace(examples, train=None), system.options(), run.folder)
    rate = _rotations_per_second(mnist.embedded("train").images)
    seconds = time.perf_counter() - began
    figures = {**run.metrics, **found, "seconds": seconds, "rotations_per_second": rate}
    write_json(run.folder / "metrics.json", figures)
    _show(figures)
    print(f"\nrun folder   {run.folder}")
    print(f"pictures     {', '.join(sorted(path.name for path in (run.folder / 'pictures').iterdir()))}")
    print(f"report       {write_report([run.folder], run.folder / 'report.html')}")


def _config(preset: Any, seed: int) -> Any:
    """The preset for few images."""
    mixture = replace(preset.mixture, components=_COMPONENTS)
    return replace(preset, train=replace(preset.train, **TRAIN, seed=seed), mixture=mixture)


def _show(figures: dict[str, Any]) -> None:
    from latentcore.commands.info import kernels
    from latentcore.terminal.tables import number, show

    rows = {word: f"{number(figures[name])}{unit}" for word, (name, unit) in _SHOWN.items()}
    rows |= {"rotations": f"{number(figures['rotations_per_second'])} images/s", "seconds": number(figures["seconds"])}
    show("figures", rows | {"kernels": kernels()})


def _rotations_per_second(images: Any) -> float:
    """Rotation of uint8 images to float32, an angle each; the median of five runs."""
    import torch

    from latentcore.ops import rotate

    angles = torch.linspace(0, 360, len(images))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        rotate(images, angles, dtype=torch.float32)
        seconds.append(time.perf_counter() - began)
    return len(images) / sorted(seconds)[2]
