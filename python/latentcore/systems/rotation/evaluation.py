"""How well a system transforms images in its latent space, measured on the images."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from latentcore.data import ImageSet
from latentcore.evaluate.angles import ANGLES, Classifier, moves
from latentcore.systems.rotation.fidelity import Quality, Truth
from latentcore.systems.rotation.pairs import transformable
from latentcore.systems.rotation.run import RotationRun

# shapes: (N, C, H, W) images, (N, L) latents, (N, 4) parameters: degrees, scale, pixels right, pixels down

BETWEEN = tuple(angle + 15.0 for angle in ANGLES)


def at_angles(
    run: RotationRun, images: Tensor, angles: Sequence[float], classifier: Classifier | None = None
) -> dict[float, Quality]:
    """The quality of one rotation by each angle.

    Args:
        run: The system.
        images: Upright images on the run's canvas. (N, C, H, W), uint8.
        angles: Degrees.
        classifier: Says whether labels are kept.
    """
    upright = run.encode(images)
    return {
        angle: Truth(run, images, moves(len(images), angle), classifier).quality(run.transform(upright, angle))
        for angle in angles
    }


def scaled_and_translated(run: RotationRun, images: Tensor, classifier: Classifier | None = None) -> Quality:
    """The quality of scales and translations in the ranges of the run, drawn for each image by seed 0."""
    uniform = torch.rand(len(images), 3, generator=torch.Generator().manual_seed(0))
    pairs = transformable(images, replace(run.config.pairs, angles=(0.0,), canvas=0))
    parameters = pairs.parameters_of(torch.cat([torch.zeros(len(images), 1), uniform], dim=1))
    _, scale, right, down = parameters.unbind(1)
    z = run.transform(run.encode(images), scale=scale, translate=(right, down))
    return Truth(run, images, parameters, classifier).quality(z)


@dataclass(frozen=True)
class Measured:
    """The qualities of a run, as far as it has learned what they are about.

    Attributes:
        seen: Of one rotation by each of `ANGLES`.
        between: By each of `BETWEEN` whose orientation training has not seen, but those around it.
        after: After each of twelve steps of 30 degrees.
        held_out: Those of `seen` whose orientation was left out of the training.
        never_turned: As `seen`, of the classes whose images were only ever seen upright.
        moved: Of scales and translations in the run's ranges.
    """

    seen: dict[float, Quality]
    between: dict[float, Quality]
    after: dict[float, Quality]
    held_out: dict[float, Quality]
    never_turned: dict[float, Quality]
    moved: Quality | None

    def table(self) -> list[dict[str, Any]]:
        """A row for every quality: what it is of, the angle in degrees, its numbers, and its gap to the ceiling."""
        rows = [(name, angle, quality) for name in _TURNS for angle, quality in getattr(self, name).items()]
        if self.moved is not None:
            rows.append(("moved", math.nan, self.moved))
        return [{"what": name, "angle": angle, **vars(quality), "gap": quality.gap} for name, angle, quality in rows]


_TURNS = ("seen", "between", "after", "held_out", "never_turned")


def measure(run: RotationRun, test: ImageSet, classifier: Classifier | None = None) -> Measured:
    """The qualities of a run on test images."""
    pairs, images = run.config.pairs, on_canvas(run, test.images)
    moved = None if pairs.rotations_only else scaled_and_translated(run, images, classifier)
    if not run.rotates:
        return Measured({}, {}, {}, {}, {}, moved)
    truths = {angle: Truth(run, images, moves(len(images), angle), classifier) for angle in ANGLES}
    upright = run.encode(images)
    seen = {angle: truth.quality(run.transform(upright, angle)) for angle, truth in truths.items()}
    strangers = images[_among(test, pairs.upright_labels)]
    return Measured(
        seen,
        between=at_angles(run, images, _unseen_between(run), classifier),
        after=_composed(run, upright, truths),
        held_out={angle: seen[angle] for angle in ANGLES if run.orientations and angle not in run.orientations},
        never_turned=at_angles(run, strangers, ANGLES[1:], classifier) if len(strangers) else {},
        moved=moved,
    )


def _unseen_between(run: RotationRun) -> list[float]:
    seen = run.orientations or frozenset()
    around = [angle for angle in BETWEEN if {angle - 15, (angle + 15) % 360} <= seen and angle not in seen]
    return run.possible(around)


def _composed(run: RotationRun, z: Tensor, truths: Mapping[float, Truth]) -> dict[float, Quality]:
    """The quality after each of twelve rotations by 30 degrees, by the angle in all: 30 to 360."""
    found = {}
    for step in range(1, len(ANGLES) + 1):
        z = run.transform(z, ANGLES[1])
        found[step * ANGLES[1]] = truths[step * ANGLES[1] % 360].quality(z)
    return found


def figures(measured: Measured) -> dict[str, float]:
    """The figures of a run.

    Returns:
        For rotations ``psnr_gap_worst`` (dB below the ceiling, worst of twelve angles), ``psnr_mean``,
        ``psnr_ceiling_mean``, ``ssim_worst``, ``psnr_gap_unseen`` (worst of the angles between them, where training has
        not seen these), ``excess_nats_mean``, ``latent_mse_mean``, ``latent_cosine_mean``,
        ``psnr_composed_worst`` (dB below the ceiling, worst of twelve steps after each other), and
        ``label_kept_worst``, ``label_kept_composed``, the worst likewise; the worst gap and the mean PSNR of
        orientations that were left out (``held_out``) and of classes that were only seen upright (``never_turned``);
        for scales and translations ``psnr_gap_scale_translate`` and ``psnr_scale_translate``. What was not measured is
        left out.
    """
    found: dict[str, float] = {}
    if measured.seen:
        seen, after = list(measured.seen.values()), list(measured.after.values())
        found |= {
            "psnr_gap_worst": _worst_gap(seen),
            "psnr_mean": _mean(seen, "psnr"),
            "psnr_ceiling_mean": _mean(seen, "ceiling_psnr"),
            "ssim_worst": min(quality.ssim for quality in seen),
            "excess_nats_mean": _mean(seen, "excess_nats"),
            "latent_mse_mean": _mean(seen, "latent_mse"),
            "latent_cosine_mean": _mean(seen, "latent_cosine"),
            "psnr_composed_worst": _worst_gap(after),
            "label_kept_worst": min(quality.label_kept for quality in seen),
            "label_kept_composed": min(quality.label_kept for quality in after),
        }
    if measured.between:
        found["psnr_gap_unseen"] = _worst_gap(measured.between.values())
    for name, qualities in (("held_out", measured.held_out), ("never_turned", measured.never_turned)):
        if qualities:
            found[f"psnr_gap_{name}"] = _worst_gap(qualities.values())
            found[f"psnr_{name}"] = _mean(list(qualities.values()), "psnr")
    if measured.moved is not None:
        found |= {"psnr_gap_scale_translate": measured.moved.gap, "psnr_scale_translate": measured.moved.psnr}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _worst_gap(found: Iterable[Quality]) -> float:
    return max(quality.gap for quality in found)


def _mean(found: Sequence[Quality], name: str) -> float:
    return float(sum(getattr(quality, name) for quality in found)) / len(found)


def _among(images: ImageSet, classes: Sequence[int]) -> Tensor:
    """Which images are of the classes. (N,), bool."""
    if not classes or images.labels is None:
        return torch.zeros(len(images), dtype=torch.bool)
    return torch.isin(images.labels, torch.tensor(classes))


def on_canvas(run: RotationRun, images: Tensor) -> Tensor:
    """uint8 images as the run's model takes them, centred on its canvas where it has one."""
    return transformable(images, run.config.pairs).images
