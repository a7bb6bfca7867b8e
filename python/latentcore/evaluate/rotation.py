"""How well a system transforms images in its latent space, measured on the images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentcore.data import ImageSet, transformed
from latentcore.evaluate.fidelity import Quality, Truth
from latentcore.train.classifier import ClassifierRun
from latentcore.train.rotation import RotationRun

# shapes: (N, C, H, W) images, (N, L) latents, (N, 4) parameters: degrees, scale, pixels right, pixels down

ANGLES = tuple(30.0 * step for step in range(12))
BETWEEN = tuple(angle + 15.0 for angle in ANGLES)
SCALES, SHIFT = (0.7, 1.3), 4.0  # the transformations of `psnr_gap_scale_translate`


def at_angles(
    run: RotationRun, images: Tensor, angles: Sequence[float], classifier: ClassifierRun | None = None
) -> list[Quality]:
    """The quality of one rotation by each angle.

    Args:
        run: The system.
        images: Upright images on the run's canvas. (N, C, H, W), uint8.
        angles: Degrees.
        classifier: Says whether labels are kept.
    """
    upright = run.encode(images)
    return [
        Truth(run, images, moves(len(images), angle), classifier).quality(run.transform(upright, angle))
        for angle in angles
    ]


def scaled_and_translated(run: RotationRun, images: Tensor, classifier: ClassifierRun | None = None) -> Quality:
    """The quality of scales in [0.7, 1.3] and translations in [-4, 4] pixels, drawn for each image by seed 0."""
    uniform = torch.rand(len(images), 3, generator=torch.Generator().manual_seed(0))
    scale = SCALES[0] + (SCALES[1] - SCALES[0]) * uniform[:, 0]
    right, down = (SHIFT * (2 * uniform[:, axis] - 1) for axis in (1, 2))
    parameters = torch.stack([torch.zeros_like(scale), scale, right, down], dim=1)
    z = run.transform(run.encode(images), scale=scale, translate=(right, down))
    return Truth(run, images, parameters, classifier).quality(z)


@dataclass(frozen=True)
class Measured:
    """The qualities of a run, as far as it has learned what they are about.

    Attributes:
        seen: Of one rotation by each of `ANGLES`.
        between: By each of `BETWEEN`.
        after: After each of twelve steps of 30 degrees.
        held_out: Those of `seen` whose orientation was left out of the training.
        never_turned: As `seen`, of the classes whose images were only ever seen upright.
        moved: Of scales and translations.
    """

    seen: list[Quality]
    between: list[Quality]
    after: list[Quality]
    held_out: list[Quality]
    never_turned: list[Quality]
    moved: Quality | None


def measure(run: RotationRun, test: ImageSet, classifier: ClassifierRun | None = None) -> Measured:
    """The qualities of a run on test images."""
    pairs, images = run.settings.pairs, on_canvas(run, test.images)
    moved = None if pairs.rotations_only else scaled_and_translated(run, images, classifier)
    if not run.rotates:
        return Measured([], [], [], [], [], moved)
    truths = [Truth(run, images, moves(len(images), angle), classifier) for angle in ANGLES]
    upright = run.encode(images)
    seen = [truth.quality(run.transform(upright, angle)) for truth, angle in zip(truths, ANGLES, strict=True)]
    by_angle = dict(zip(ANGLES, seen, strict=True))
    strangers = images[_among(test, pairs.upright_labels)]
    return Measured(
        seen,
        between=at_angles(run, images, run.possible(BETWEEN)),
        after=_composed(run, upright, truths),
        held_out=[by_angle[angle] for angle in ANGLES if pairs.angles and angle not in pairs.angles],
        never_turned=at_angles(run, strangers, ANGLES[1:]) if len(strangers) else [],
        moved=moved,
    )


def _composed(run: RotationRun, z: Tensor, truths: Sequence[Truth]) -> list[Quality]:
    """The quality after each of twelve rotations by 30 degrees; the last one ends the full turn."""
    found = []
    for truth in (*truths[1:], truths[0]):
        z = run.transform(z, ANGLES[1])
        found.append(truth.quality(z))
    return found


def figures(measured: Measured) -> dict[str, float]:
    """The figures of a run.

    Returns:
        For rotations ``psnr_gap_worst`` (dB below the ceiling, worst of twelve angles), ``psnr_mean``,
        ``psnr_ceiling_mean``, ``ssim_worst``, ``psnr_gap_unseen`` (worst of the twelve angles between them),
        ``psnr_composed_worst`` (dB below the ceiling, worst of twelve steps after each other), and
        ``label_kept_worst``, ``label_kept_composed``, the worst likewise; the worst gap and the mean PSNR of
        orientations that were left out (``held_out``) and of classes that were only seen upright (``never_turned``);
        for scales and translations ``psnr_gap_scale_translate`` and ``psnr_scale_translate``. What was not measured is
        left out.
    """
    found: dict[str, float] = {}
    if measured.seen:
        found |= {
            "psnr_gap_worst": _worst_gap(measured.seen),
            "psnr_mean": _mean_psnr(measured.seen),
            "psnr_ceiling_mean": sum(quality.ceiling_psnr for quality in measured.seen) / len(measured.seen),
            "ssim_worst": min(quality.ssim for quality in measured.seen),
            "psnr_composed_worst": _worst_gap(measured.after),
            "label_kept_worst": min(quality.label_kept for quality in measured.seen),
            "label_kept_composed": min(quality.label_kept for quality in measured.after),
        }
    if measured.between:
        found["psnr_gap_unseen"] = _worst_gap(measured.between)
    for name, qualities in (("held_out", measured.held_out), ("never_turned", measured.never_turned)):
        if qualities:
            found |= {f"psnr_gap_{name}": _worst_gap(qualities), f"psnr_{name}": _mean_psnr(qualities)}
    if measured.moved is not None:
        found |= {"psnr_gap_scale_translate": measured.moved.gap, "psnr_scale_translate": measured.moved.psnr}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _worst_gap(found: Sequence[Quality]) -> float:
    return max(quality.gap for quality in found)


def _mean_psnr(found: Sequence[Quality]) -> float:
    return sum(quality.psnr for quality in found) / len(found)


def _among(images: ImageSet, classes: Sequence[int]) -> Tensor:
    """Which images are of the classes. (N,), bool."""
    if not classes or images.labels is None:
        return torch.zeros(len(images), dtype=torch.bool)
    return torch.isin(images.labels, torch.tensor(classes))


def on_canvas(run: RotationRun, images: Tensor) -> Tensor:
    """uint8 images as the run's model takes them, centred on its canvas where it has one."""
    return run.settings.pairs.images(images).images


def moves(count: int, angle: float) -> Tensor:
    """The parameters (count, 4) of a rotation."""
    return torch.tensor([angle, 1.0, 0.0, 0.0]).expand(count, 4)


def classifier_accuracy(classifier: ClassifierRun, test: ImageSet, angles: Sequence[float] = ANGLES) -> float:
    """The classifier's accuracy on truly rotated images, the mean over the angles."""
    labels, right = test.known_labels(), 0.0
    for angle in angles:
        seen = classifier.classify(transformed(test.images, moves(len(test), angle)).clamp_(0, 1))
        right += float((seen == labels).float().mean())
    return right / len(angles)
