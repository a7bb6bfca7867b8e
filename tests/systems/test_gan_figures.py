"""Figures and pictures of a GAN's samples."""

import pytest
import torch
from PIL import Image

import latentcore
from latentcore.data import ImageSet
from latentcore.metrics import frechet_distance
from latentcore.models import GANConfig, ResNetConfig
from latentcore.systems.classifier.config import ClassifierConfig
from latentcore.systems.gan.config import GANTraining
from latentcore.systems.gan.evaluation import Judge, figures
from latentcore.systems.gan.pictures import write_pictures
from latentcore.training import TrainConfig

NETWORKS = GANConfig(image_shape=(1, 12, 12), latent=4, channels=(8, 16), hidden=16)


def stripes(count, shares=(1, 1, 1)):
    """Images (count, 1, 12, 12) of a bright stripe, column or corner, in turns; and their classes."""
    generator = torch.Generator().manual_seed(count)
    pictures = torch.randint(40, (count, 1, 12, 12), generator=generator, dtype=torch.uint8)
    turns = torch.arange(3).repeat_interleave(torch.tensor(shares))
    labels = turns.repeat(count)[:count]
    for label, place in enumerate((slice(4, 7), (..., slice(4, 7)), (slice(6), slice(6)))):
        rows = pictures[labels == label]
        rows[(slice(None), 0, *(place if isinstance(place, tuple) else (place,)))] += 200
        pictures[labels == label] = rows
    return ImageSet(pictures, labels)


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    train = stripes(300)
    config = ClassifierConfig(
        resnet=ResNetConfig(image_shape=(1, 12, 12), classes=3, width=1 / 16),
        train=TrainConfig(epochs=4, batch_size=30, learning_rate=1e-2),
    )
    run = latentcore.train("classifier", train, config=config, run_dir=tmp_path_factory.mktemp("judge") / "run")
    assert float((run.classify(train.images) == train.labels).float().mean()) > 0.98
    return run


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    config = GANTraining(gan=NETWORKS, train=TrainConfig(epochs=2, batch_size=30))
    folder = tmp_path_factory.mktemp("gan") / "run"
    return latentcore.train("gan", stripes(300), config=config, run_dir=folder)


def test_likeness_of_images_whose_classes_are_known(judge):
    real = stripes(120)
    compared = Judge(judge, real.images)
    same = compared.likeness(real.images)
    assert same.frechet == pytest.approx(0, abs=1e-6)
    assert same.coverage_error == pytest.approx(0, abs=0.01)
    uneven = compared.likeness(stripes(200, (1, 3, 1)).images)
    torch.testing.assert_close(uneven.shares, torch.tensor([0.2, 0.6, 0.2], dtype=torch.float64))
    assert uneven.coverage_error == pytest.approx(100 * (0.6 - 1 / 3))
    noise = compared.likeness(torch.rand(120, 12, 12))
    assert noise.frechet > uneven.frechet > same.frechet
    features = (judge.features(images) for images in (stripes(200, (1, 3, 1)).images, real.images))
    assert uneven.frechet == pytest.approx(frechet_distance(*features))


def test_features_are_what_the_last_layer_reads(judge):
    images = stripes(50).images
    with torch.no_grad():
        logits = judge.model.head(judge.features(images))
    assert judge.features(images).shape == (50, 32)
    torch.testing.assert_close(logits.softmax(1), judge.predict_proba(images))


def test_figures_of_a_run_and_of_others(judge, gan):
    train, test = stripes(300), stripes(120)
    alone = figures(gan, judge, train, test, samples=100)
    names = {"samples", "frechet", "coverage_error", "frechet_real", "coverage_error_real"}
    assert alone.keys() == names | {"share_0", "share_1", "share_2"}
    assert alone["frechet_real"] < alone["frechet"]
    assert sum(alone[f"share_{name}"] for name in range(3)) == pytest.approx(100)
    beside = figures(gan, judge, train, test, beside=gan, samples=100)
    assert beside["frechet_ratio"] == pytest.approx(1)
    assert beside["coverage_error_beside"] == beside["coverage_error"] == alone["coverage_error"]


def test_pictures(gan):
    train, test = stripes(300), stripes(120)
    found = write_pictures(gan, train, test, gan.folder / "pictures", beside=gan)
    stills = {"losses.png", "samples.png", "beside.png", "nearest.png", "walk.png"}
    assert {path.name for path in found} == stills | {"walk.gif", "epochs.gif"}
    assert all(path.stat().st_size > 0 for path in found)
    with Image.open(gan.folder / "pictures" / "epochs.gif") as film:
        assert film.n_frames == 2
