"""The figures of transformations, of a system whose latents are the pixels themselves."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from latentcore import metrics
from latentcore.data import ImageSet, mnist, transformed
from latentcore.evaluate.angles import classifier_accuracy
from latentcore.systems.rotation import evaluation
from latentcore.systems.rotation.config import PairsConfig

TEST = ImageSet(*(part[::25] for part in (mnist.embedded("test").images, mnist.embedded("test").labels)))
BLUR = 0.1


class Pixels:
    """Rotates pixels; its decoder is off by BLUR everywhere, `extra` more where latents were transformed."""

    def __init__(self, pairs, extra=0.0):
        self.config = SimpleNamespace(pairs=pairs, operator=SimpleNamespace(model="equivariant"))
        self.extra = extra
        self.orientations = frozenset(angle % 360 for angle in pairs.angles) or None

    @property
    def rotates(self):
        return self.config.pairs.angles != (0.0,)

    def possible(self, angles):
        return list(angles)

    def encode(self, images):
        pixels = images / 255 if images.dtype == torch.uint8 else images
        return pixels.flatten(1)

    def decode(self, z):
        return (0.8 * z + BLUR).clamp(0, 1).view(-1, 1, 28, 28)

    def transform(self, z, angle=0.0, *, scale=1.0, translate=(0.0, 0.0)):
        columns = [torch.as_tensor(c, dtype=torch.float32).expand(len(z)) for c in (angle, scale, *translate)]
        moved = transformed(z.view(-1, 1, 28, 28), torch.stack(columns, dim=1))
        return (moved + self.extra).clamp(0, 1).flatten(1)


class Judge:
    """Sees whether there is much ink in the upper half."""

    def classify(self, images):
        images = images / 255 if images.dtype == torch.uint8 else images
        return (images[:, :, :14].sum((1, 2, 3)) > images[:, :, 14:].sum((1, 2, 3))).long()


def test_one_rotation_that_is_right_has_no_gap():
    found = evaluation.measure(Pixels(PairsConfig()), TEST, Judge())
    figures = evaluation.figures(found)
    for name in ("psnr_gap_worst", "psnr_gap_unseen"):
        assert figures[name] == pytest.approx(0, abs=1e-5)
    assert figures["psnr_mean"] == pytest.approx(figures["psnr_ceiling_mean"])
    assert [quality.latent_cosine for quality in found.seen.values()] == pytest.approx([1] * 12, abs=1e-6)
    assert found.moved is None
    assert found.held_out == found.never_turned == {}


def test_composition_is_measured_at_every_step():
    found = evaluation.measure(Pixels(PairsConfig()), TEST)
    assert found.after[30.0].gap == pytest.approx(0, abs=1e-4)  # one step is one rotation
    assert evaluation.figures(found)["psnr_composed_worst"] == max(quality.gap for quality in found.after.values()) > 1
    # twelve steps of bilinear blending end at the upright image
    z = encoded = Pixels(PairsConfig()).encode(TEST.images)
    for _ in range(12):
        z = Pixels(PairsConfig()).transform(z, 30.0)
    assert found.after[360.0].latent_mse == pytest.approx(float((z - encoded).square().mean()), rel=1e-4)


def test_each_number_is_what_it_is_called():
    run = Pixels(PairsConfig(), extra=0.05)
    quality = evaluation.at_angles(run, TEST.images, [90.0], Judge())[90.0]
    true = torch.rot90(TEST.images / 255, 1, (-2, -1))
    drawn, direct = run.decode((true + 0.05).clamp(0, 1).flatten(1)), run.decode(true.flatten(1))
    assert quality.psnr == pytest.approx(float(metrics.psnr(true, drawn).mean()), rel=1e-5)
    assert quality.ceiling_psnr == pytest.approx(float(metrics.psnr(true, direct).mean()), rel=1e-5)
    assert quality.gap == pytest.approx(quality.ceiling_psnr - quality.psnr)
    assert quality.ssim == pytest.approx(float(metrics.ssim(true, drawn).mean()), rel=1e-5)
    assert quality.ceiling_mse == pytest.approx(float((true - direct).square().mean()), rel=1e-4)
    floor = F.binary_cross_entropy(true, true, reduction="sum")
    excess = (F.binary_cross_entropy(direct, true, reduction="sum") - floor) / len(true)
    assert quality.ceiling_excess_nats == pytest.approx(float(excess), rel=1e-4)
    kept = (Judge().classify(drawn) == Judge().classify(true)).float().mean()
    assert quality.label_kept == pytest.approx(float(kept))


def test_without_a_classifier_nothing_is_said_of_labels():
    found = evaluation.figures(evaluation.measure(Pixels(PairsConfig()), TEST))
    assert not any(name.startswith("label_kept") for name in found)
    assert not any(math.isnan(value) for value in found.values())


def test_orientations_and_classes_that_were_left_out_have_their_figures():
    pairs = PairsConfig(angles=(0.0, 30.0, 60.0), upright_labels=(4, 7))
    found = evaluation.measure(Pixels(pairs), TEST)
    assert list(found.held_out) == [30.0 * step for step in range(3, 12)]
    assert list(found.between) == [15.0, 45.0]  # the others are not between two that were seen
    strangers = TEST.images[(TEST.labels == 4) | (TEST.labels == 7)]
    expected = evaluation.at_angles(Pixels(pairs), strangers, [30.0])[30.0].psnr
    assert found.never_turned[30.0].psnr == expected != found.seen[30.0].psnr
    assert {"psnr_held_out", "psnr_gap_held_out", "psnr_never_turned"} <= set(evaluation.figures(found))


def test_scales_and_translations():
    pairs = PairsConfig(angles=(0.0,), scale=(0.7, 1.3), translate=4.0)
    figures = evaluation.figures(evaluation.measure(Pixels(pairs, extra=0.05), TEST))
    assert set(figures) == {"psnr_gap_scale_translate", "psnr_scale_translate"}
    assert figures["psnr_gap_scale_translate"] > 1
    exact = evaluation.figures(evaluation.measure(Pixels(pairs), TEST))
    assert exact["psnr_gap_scale_translate"] == pytest.approx(0, abs=1e-5)


def test_the_classifiers_accuracy_is_over_all_angles():
    right = Judge().classify(TEST.images)
    assert classifier_accuracy(Judge(), TEST.images, right, [0.0]) == 1
    assert 0 < classifier_accuracy(Judge(), TEST.images, right, [0.0, 180.0]) < 1


@pytest.mark.parametrize("angles", [(), tuple(15.0 * step for step in range(24)), (0.0, 90.0)])
def test_only_what_was_not_seen_is_called_unseen(angles):
    figures = evaluation.figures(evaluation.measure(Pixels(PairsConfig(angles=angles)), TEST))
    assert "psnr_gap_unseen" not in figures


def test_orientations_are_the_same_after_a_whole_turn():
    pairs = PairsConfig(angles=tuple(30.0 * step for step in range(-6, 6)))
    assert evaluation.measure(Pixels(pairs), TEST).held_out == {}


def test_the_table_has_a_row_for_all_that_was_measured():
    pairs = PairsConfig(scale=(0.9, 1.1))
    rows = evaluation.measure(Pixels(pairs), TEST).table()
    assert [row["what"] for row in rows] == ["seen"] * 12 + ["between"] * 12 + ["after"] * 12 + ["moved"]
    assert all(row["gap"] == row["ceiling_psnr"] - row["psnr"] for row in rows)
