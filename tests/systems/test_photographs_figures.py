"""Figures, anomaly scores and pictures of VAEs of photographs."""

import csv

import pytest
import torch

from latentcore import metrics, train
from latentcore.models import BernoulliConfig, SharpConfig
from latentcore.systems.photographs.config import PhotographsConfig
from latentcore.systems.photographs.evaluation import anomaly_scores, figures
from latentcore.systems.photographs.pictures import write_pictures
from latentcore.training import TrainConfig

PICTURES = {
    "losses.png",
    "reconstructions.png",
    "interpolation.png",
    "samples.png",
    "anomalies.png",
    "anomalies.csv",
    "latents.png",
    "latents3d.png",
}


def ramps(count, seed):
    """Smooth photographs (3, 16, 16): brighter to the right or to the bottom, uint8."""
    across, down = torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij")
    strength = torch.rand(count, 3, 2, generator=torch.Generator().manual_seed(seed)) - 0.5
    images = 0.5 + 0.5 * (strength[..., :1, None] * across + strength[..., 1:, None] * down)
    return (255 * images).round().byte()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = PhotographsConfig(
        vae=SharpConfig(image_shape=(3, 16, 16), latent=5, channels=(4, 8), refinements=1),
        train=TrainConfig(epochs=2, batch_size=32, beta=0.01),
    )
    return train("photographs", ramps(128, 0), config=config, run_dir=tmp_path_factory.mktemp("runs") / "run")


def test_figures_are_those_of_all_images_together(run, monkeypatch):
    images = ramps(30, 1)
    monkeypatch.setattr("latentcore.systems.photographs.evaluation._ROWS", 7)
    found = figures(run, images)
    original, drawn = images / 255, run.reconstruct(images)
    assert found["test_images"] == 30
    assert found["mse"] == pytest.approx(metrics.mse(original, drawn).mean().item(), rel=1e-4)
    assert found["ms_ssim"] == pytest.approx(metrics.ms_ssim(original, drawn).mean().item(), rel=1e-4)
    axes = run.principal(images)
    assert found["pca_mse"] == pytest.approx(metrics.mse(original, axes).mean().item(), rel=1e-4)
    assert found["mse_ratio_pca"] == pytest.approx(found["mse"] / found["pca_mse"])


def test_odd_photographs_have_high_scores(run):
    usual = ramps(40, 2)
    noise = torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)
    far = (255 * (ramps(1, 3) > 127)).byte()  # what the axes can draw, further out than any
    scores = anomaly_scores(run, torch.cat([usual, noise, far]))
    assert set(scores.score.topk(2).indices.tolist()) == {40, 41}
    assert scores.kl[41] > scores.kl[:40].max()
    torch.testing.assert_close(scores.score, scores.reconstruction + 0.01 * scores.kl)
    drawn = run.reconstruct(noise)
    error = (noise / 255 - drawn).square().sum() / 2
    assert scores.reconstruction[40].item() == pytest.approx(error.item(), rel=1e-4)


def test_pictures_and_the_table_of_scores(run):
    images = torch.cat([ramps(20, 4), torch.randint(256, (1, 3, 16, 16), dtype=torch.uint8)])
    names = [f"{number}.jpg" for number in range(21)]
    files = write_pictures(run, images, names, run.folder)
    assert {path.name for path in files} == PICTURES
    assert all(path.stat().st_size > 100 for path in files)
    assert (run.folder / "latents.npz").exists()
    with (run.folder / "pictures/anomalies.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["photograph"] == "20.jpg"
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert {row["photograph"] for row in rows} == set(names)


def test_any_images_that_training_takes_have_figures(run):
    images = torch.rand(6, 3, 16, 16)
    found = figures(run, images)
    for others in (images.double(), images.numpy()):
        assert figures(run, others) == pytest.approx(found)
    assert figures(run, images.half())["mse"] == pytest.approx(found["mse"], rel=1e-3)


def test_two_photographs_are_enough(run):
    found = write_pictures(run, ramps(2, 5), ["a", "b"], run.folder)
    assert {path.name for path in found} == PICTURES - {"latents3d.png"}


def test_a_loss_without_a_prior_has_scores_too(tmp_path):
    config = PhotographsConfig(
        vae=SharpConfig(
            image_shape=(3, 16, 16), latent=2, channels=(4, 8), refinements=0, likelihood=BernoulliConfig()
        ),
        train=TrainConfig(epochs=1, batch_size=32, beta=0.0),
    )
    run = train("photographs", ramps(64, 0), config=config, run_dir=tmp_path / "run")
    scores = anomaly_scores(run, ramps(4, 1))
    assert torch.equal(scores.score, scores.reconstruction)
