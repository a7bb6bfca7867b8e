"""`latentcore demo`."""

import time
from dataclasses import replace
from pathlib import Path

import torch

from latentcore._files import write_json
from latentcore.commands.info import kernels
from latentcore.data import mnist
from latentcore.evaluate import few_label as evaluate
from latentcore.ops import rotate
from latentcore.report.page import write_report
from latentcore.terminal.tables import number, show
from latentcore.training.few_label import FewLabelConfig, MixtureConfig, train_few_label
from latentcore.training.presets import DIGITS148

_CLASSES = (1, 4, 8)
_LABELS_PER_CLASS = 5
# 900 images instead of 18,000: smaller batches, more epochs, fewer components
CONFIG = replace(
    DIGITS148,
    train=replace(DIGITS148.train, epochs=120, batch_size=64, learning_rate=3e-3),
    mixture=MixtureConfig(components=8),
)


def demo(run_dir: Path | None, seed: int | None, config: FewLabelConfig = CONFIG) -> None:
    """Train, cluster, classify and rotate the digits that come with the package; leave a table, pictures and a page."""
    train = mnist.embedded("train").select(_CLASSES)
    test = mnist.embedded("test").select(_CLASSES)
    labelled = train.draw(_LABELS_PER_CLASS, seed=seed or 0)
    print(
        f"A VAE learns {len(train)} digits ({', '.join(map(str, _CLASSES))}) without labels; a Gaussian mixture\n"
        f"in its latent plane, read with {_LABELS_PER_CLASS} labels a class, classifies {len(test)} test digits."
    )
    began = time.perf_counter()
    config = replace(config, train=replace(config.train, seed=seed or 0))
    run = train_few_label(train.images, labelled.images, labelled.labels, config, run_dir)
    found = evaluate.figures(run, test)
    rate = _rotations_per_second(mnist.embedded("train").images)
    pictures = evaluate.write_pictures(run, test)
    seconds = time.perf_counter() - began
    write_json(run.folder / "metrics.json", {**run.metrics, **found, "seconds": seconds, "rotations_per_second": rate})
    show(
        "figures",
        {
            "F1 score": number(found["f1"]),
            "accuracy": number(found["accuracy"]),
            "SSIM": number(found["ssim"]),
            "PSNR": f"{number(found['psnr'])} dB",
            "rotations": f"{number(rate)} images/s",
            "seconds": number(seconds),
            "kernels": kernels(),
        },
    )
    print(f"\nrun folder   {run.folder}")
    print(f"pictures     {', '.join(path.name for path in pictures)}")
    print(f"report       {write_report([run.folder], run.folder / 'report.html')}")


def _rotations_per_second(images: torch.Tensor) -> float:
    """Rotation of uint8 images to float32, an angle each; the median of five runs."""
    angles = torch.linspace(0, 360, len(images))
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        rotate(images, angles, dtype=torch.float32)
        seconds.append(time.perf_counter() - began)
    return len(images) / sorted(seconds)[2]
