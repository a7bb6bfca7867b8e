"""The loss of a GAN, its training, and its runs."""

import dataclasses
import json

import pytest
import torch
from torch.nn import functional as F

from latentcore import load_run, resume, train
from latentcore.models import GAN, GANConfig
from latentcore.ops import reparameterize_kl
from latentcore.systems.gan.config import PRESETS, Adversarial, GANTraining
from latentcore.systems.gan.objective import AdversarialLoss
from latentcore.training import TrainConfig

NETWORKS = GANConfig(image_shape=(1, 12, 12), latent=4, channels=(8, 16), hidden=16)
TRAIN = TrainConfig(epochs=3, batch_size=30, learning_rate=2e-3, betas=(0.5, 0.99), ema=0.9, schedule="cosine")
CONFIG = GANTraining(gan=NETWORKS, train=TRAIN)


def gradients(network, loss):
    return torch.autograd.grad(loss, list(network.parameters()), retain_graph=True, materialize_grads=True)


def test_each_network_gets_the_gradient_of_its_own_loss():
    model, real = GAN(NETWORKS), torch.rand(8, 1, 12, 12)
    loss = AdversarialLoss(Adversarial(weight=3.0, share=0.5))
    terms = dict(zip(loss.terms, loss(model, (real, real), beta=1.0, seed=7), strict=True))
    model.zero_grad()
    terms["loss"].backward()
    # by hand, with the images that were drawn: batches are normalised by their own statistics
    prior = torch.zeros(8, 4)
    fake = model.draw(reparameterize_kl(prior, prior, seed=7)[0])
    generator = -F.logsigmoid(model.judge(fake)).mean()
    seen = real[:4].clone().requires_grad_()
    (slopes,) = torch.autograd.grad(model.judge(seen).sum(), seen, create_graph=True)
    penalty = slopes.square().sum() / 4
    discriminator = -F.logsigmoid(model.judge(real)).mean() - F.logsigmoid(-model.judge(fake.detach())).mean()
    wanted = gradients(model.generator, generator) + gradients(model.discriminator, discriminator + 1.5 * penalty)
    found = [p.grad for p in (*model.generator.parameters(), *model.discriminator.parameters())]
    for own, expected in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6)
    for name, value in {"discriminator": discriminator, "generator": generator, "penalty": penalty}.items():
        torch.testing.assert_close(terms[name], value)
    torch.testing.assert_close(terms["loss"], discriminator + 1.5 * penalty + generator)
    torch.testing.assert_close(terms["real"], model.judge(real).sigmoid().mean())
    assert 0 < float(terms["fake"].detach()) < 1


def test_weights_are_checked():
    with pytest.raises(ValueError, match=r"Adversarial\.weight"):
        Adversarial(weight=-1.0)
    with pytest.raises(ValueError, match=r"Adversarial\.share"):
        Adversarial(share=1.5)
    with pytest.raises(ValueError, match=r"TrainConfig\.betas"):
        TrainConfig(betas=(0.5, 1.0))


def test_it_learns_and_its_run_says_the_same_again(tmp_path, images):
    shorter = dataclasses.replace(TRAIN, epochs=15)
    run = train("gan", images, config=dataclasses.replace(CONFIG, train=shorter), run_dir=tmp_path / "run")
    drawn = run.sample(300, seed=3)
    real = images[:, None] / 255
    assert drawn.shape == real.shape
    # a stripe, a column or a corner is bright in a third of the images
    assert float((drawn.mean(0) - real.mean(0)).abs().mean()) < 0.1
    assert float(drawn.std(0).mean()) > 0.5 * float(real.std(0).mean())
    again = load_run(tmp_path / "run")
    assert torch.equal(again.sample(300, seed=3), drawn)
    assert not torch.equal(again.sample(300, seed=4), drawn)
    assert {"seconds", "parameters", "images_per_second", *AdversarialLoss.terms} <= run.metrics.keys()
    header = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert header == "epoch,loss,discriminator,generator,penalty,real,fake,seconds,images_per_second"
    assert len(list((tmp_path / "run" / "pictures" / "epochs").iterdir())) == 15


def test_a_resumed_run_ends_bitwise_like_an_undisturbed_one(tmp_path, images, interrupted_at):
    shorter = dataclasses.replace(TRAIN, checkpoint_every=4)
    config = dataclasses.replace(CONFIG, train=shorter)
    train("gan", images, config=config, run_dir=tmp_path / "one")
    with interrupted_at(17), pytest.raises(KeyboardInterrupt, match="goes on from it"):
        train("gan", images, config=config, run_dir=tmp_path / "two")
    resume(tmp_path / "two", images)
    for name in ("model.pth", "last.pth"):
        states = [torch.load(tmp_path / run / "checkpoints" / name, weights_only=True) for run in ("one", "two")]
        tensors = [state.get("model", state) for state in states]
        assert all(torch.equal(tensors[0][key], tensors[1][key]) for key in tensors[0])
    frames = [(tmp_path / run / "pictures" / "epochs" / "0003.png").read_bytes() for run in ("one", "two")]
    assert frames[0] == frames[1]
    with pytest.raises(ValueError, match="data: expected the data with which"):
        resume(tmp_path / "two", images.flip(0))


def test_the_averaged_weights_are_what_is_kept(tmp_path, images):
    run = train("gan", images, config=CONFIG, run_dir=tmp_path / "run")
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.pth", weights_only=True)
    own, kept = last["model"]["generator.0.weight"], run.model.generator[0].weight
    assert not torch.equal(own, kept)
    torch.testing.assert_close(last["averages"]["module.generator.0.weight"], kept.detach())


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_models_and_travel_through_json(name):
    config = PRESETS[name]
    assert GANTraining.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert GAN(config.gan).draw(torch.randn(2, config.gan.latent)).shape == (2, 1, 28, 28)
    assert config.for_shape((3, 8, 12)).gan.image_shape == (3, 8, 12)


def test_images_that_cannot_be_drawn_are_refused_at_once():
    with pytest.raises(ValueError, match=r"GANConfig\.image_shape: expected images of 1 channel or 3"):
        CONFIG.for_shape((2, 8, 8))


def test_a_damaged_run_says_so(tmp_path, images):
    train(
        "gan",
        images,
        config=dataclasses.replace(CONFIG, train=dataclasses.replace(TRAIN, epochs=1)),
        run_dir=tmp_path / "run",
    )
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["gan"]["hidden"] = 17
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="a state dict of the configured GAN"):
        load_run(tmp_path / "run")


@pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
def test_other_precisions_tell_the_same(tmp_path, images, precision):
    shorter = dataclasses.replace(TRAIN, epochs=1)
    plain = train("gan", images, config=dataclasses.replace(CONFIG, train=shorter), run_dir=tmp_path / "plain").metrics
    other = dataclasses.replace(CONFIG, train=dataclasses.replace(shorter, precision=precision, channels_last=True))
    found = train("gan", images, config=other, run_dir=tmp_path / "other").metrics
    for term in ("loss", "discriminator", "generator", "penalty", "real", "fake"):
        assert found[term] == pytest.approx(plain[term], rel=0.05)
