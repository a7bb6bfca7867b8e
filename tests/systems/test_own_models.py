"""Models of somebody's own: found by what they offer, trained, taken up again, opened, evaluated and reported."""

import dataclasses
import json
import sys

import pytest
import torch
from own_models import LookAlike, OwnConfig, OwnVAE, PixelMeans
from tiny import configuration, images
from torch import nn

from latentcore import evaluate_run, load_run, resume, train, write_report
from latentcore.cli import main
from latentcore.models import VAE
from latentcore.models.objectives import Terms

TOLD = configuration("autoencoder", epochs=2, batch_size=48, validation=0.25)
TOLD = dataclasses.replace(TOLD, vae=dataclasses.replace(TOLD.vae, classes=3))
MODELS = {
    "subclass": (OwnVAE, TOLD, {"test_images", "mse", "nats", "iw_nll", "active_units"}),
    "look-alike": (LookAlike, OwnConfig(), {"test_images", "mse", "nats", "iw_nll", "active_units"}),
    "objective alone": (PixelMeans, OwnConfig(), {"test_images", "test_loss", "test_absolute"}),
}


@pytest.fixture(params=MODELS)
def own(request):
    return MODELS[request.param]


def trained(folder, own, **words):
    """A small run of a model, with images to judge by, which may have labels."""
    model, config, _ = own
    pictures, labels = images(120)
    data = {"labels": labels[:96]} if config.network.classes else {}
    return train(
        "autoencoder",
        pictures[:96],
        config=config,
        model=model,
        run_dir=folder,
        test=(pictures[96:], labels[96:]),
        **data,
        **words,
    )


def state(folder):
    found = torch.load(folder / "checkpoints/model.pth", weights_only=True)
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def test_it_trains_and_opens_again_with_the_same_weights(tmp_path, own):
    model, config, _ = own
    run = trained(tmp_path / "run", own)
    assert type(run.model) is model
    assert run.config == config
    rows = (tmp_path / "run/metrics.csv").read_text().splitlines()
    assert len(rows) == 3
    assert ("validation_loss" in rows[0]) == (config.train.validation > 0)
    again = load_run(tmp_path / "run", model=model)
    assert all(torch.equal(value, again.model.state_dict()[name]) for name, value in state(tmp_path / "run").items())
    if run.codes:
        pictures, labels = images(5)
        told = labels if config.network.classes else None
        assert torch.equal(run.reconstruct(pictures, told), again.reconstruct(pictures, told))
        assert again.sample(4, None if told is None else told[:4]).shape == (4, 1, 12, 12)


def test_opening_it_draws_nothing_from_torchs_generator(tmp_path, own):
    trained(tmp_path / "run", own)
    before = torch.random.get_rng_state()
    load_run(tmp_path / "run", model=own[0])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_interrupted_one_ends_with_the_bits_of_an_undisturbed_one(tmp_path, own, interrupted_at):
    trained(tmp_path / "one", own)
    with interrupted_at(4), pytest.raises(KeyboardInterrupt, match="goes on from it"):
        trained(tmp_path / "two", own)
    pictures, labels = images(120)
    told = labels[:96] if own[1].network.classes else None
    resume(tmp_path / "two", pictures[:96], labels=told, model=own[0])
    one, two = state(tmp_path / "one"), state(tmp_path / "two")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_it_is_evaluated_and_reported(tmp_path, own):
    model, _, expected = own
    pictures, labels = images(120)
    folder = trained(tmp_path / "run", own).folder
    found = evaluate_run(folder, test=(pictures[96:], labels[96:]), model=model)
    assert expected <= found.keys()
    assert json.loads((folder / "metrics.json").read_text()) == found
    assert found["seconds"] > 0  # those of the training stay
    assert (folder / "pictures/losses.png").exists()
    run = load_run(folder, model=model)
    assert (folder / "latents.npz").exists() == run.codes
    page = write_report([run], tmp_path / "page.html").read_text()
    assert "checkpoints: " not in page
    assert ("the page does not evaluate" in page) == (model is OwnVAE)  # whose outputs are no logits


def test_figures_of_a_look_alike_are_those_of_a_vae(tmp_path):
    """The same numbers, asked in another way."""
    pictures, labels = images(120)
    trained(tmp_path / "run", MODELS["look-alike"])
    found = evaluate_run(tmp_path / "run", test=(pictures[96:], labels[96:]), model=LookAlike)
    model, shown = load_run(tmp_path / "run", model=LookAlike).model, pictures[96:] / 255
    model.requires_grad_(False)
    drawn = model.decode(model.encode(shown)[0])
    assert found["mse"] == pytest.approx(float((drawn - shown).square().mean()), rel=1e-4)
    mu, logvar = model.encode(shown)
    kl = 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(1).mean()
    assert found["kl"] == pytest.approx(float(kl), rel=1e-4)
    assert found["nats"] == pytest.approx(found["reconstruction"] + found["kl"])


def test_data_of_others_have_figures_of_their_own(tmp_path):
    own = MODELS["look-alike"]
    trained(tmp_path / "run", own)
    before = (tmp_path / "run/metrics.json").read_bytes()
    others, _ = images(30)
    found = evaluate_run(tmp_path / "run", test=others, model=LookAlike)
    (place,) = (tmp_path / "run/evaluations").iterdir()
    assert json.loads((place / "metrics.json").read_text()) == found
    assert evaluate_run(tmp_path / "run", test=others, model=LookAlike, out=tmp_path / "out") == found
    assert (tmp_path / "out/pictures/samples.png").exists()
    assert (tmp_path / "run/metrics.json").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "data: expected the images of .*, which were handed in from Python, got none"),
        ({"test": torch.rand(3, 5, 5)}, r"expected .*12, 12"),
        ({"tsen": True}, r"tsen: expected an option of the system 'autoencoder' \(tsne\), got an unknown one; did you"),
        ({"labels": [1, 2]}, "labels: expected none beside names and paths"),
        ({"data": torch.rand(3, 12, 12)}, "test: expected data to judge by, got none"),
    ],
)
def test_what_cannot_be_evaluated_is_said(tmp_path, words, message):
    trained(tmp_path / "run", MODELS["look-alike"])
    with pytest.raises(ValueError, match=message):
        evaluate_run(tmp_path / "run", model=LookAlike, **words)
    assert not (tmp_path / "run/evaluations").exists()


@pytest.mark.parametrize(("given", "got"), [(None, "none"), (VAE, "VAE")])
def test_another_class_is_refused_with_the_name_of_the_right_one(tmp_path, given, got):
    folder = trained(tmp_path / "run", MODELS["subclass"]).folder
    pictures, _ = images()
    for use in (load_run, evaluate_run, lambda folder, model: resume(folder, pictures, model=model)):
        with pytest.raises(ValueError, match=rf"model: expected OwnVAE, with which .*model=OwnVAE\), got {got}"):
            use(folder, model=given)


def test_the_systems_own_model_wants_no_other(tmp_path):
    pictures, _ = images()
    folder = train(
        "autoencoder", pictures, config=configuration("autoencoder", epochs=1), run_dir=tmp_path / "r"
    ).folder
    with pytest.raises(ValueError, match="model: expected none, got OwnVAE"):
        load_run(folder, model=OwnVAE)


def test_the_command_line_says_what_python_does(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained("run", MODELS["subclass"])
    capsys.readouterr()
    for words in (["evaluate", "run", "--test", "t.npz"], ["compare", "run"]):
        assert main(words) == 1
        assert capsys.readouterr().err == (
            "error: model: expected OwnVAE, with which run was trained "
            "(in Python: load_run, resume and evaluate_run take model=OwnVAE), got none\n"
        )
    assert main(["report", "run", "--out", "page.html"]) == 0
    assert "write_report([load_run(folder, model=OwnVAE)], page) shows it" in (tmp_path / "page.html").read_text()


def test_nothing_that_a_run_names_is_imported(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w')\nclass Model: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = trained(tmp_path / "run", MODELS["look-alike"]).folder
    about = json.loads((folder / "config.json").read_text())
    for name in ("planted", "planted:Model", "planted.Model"):
        for key in ("model", "system"):
            (folder / "config.json").write_text(json.dumps({**about, key: name}))
            with pytest.raises(ValueError, match="planted"):
                load_run(folder, model=LookAlike)
            write_report([folder], tmp_path / "page.html")
    assert "planted" not in sys.modules
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("sizes", [{"width": "wide"}, {"latent": 10**9}, {"unknown": 1}])
def test_a_damaged_configuration_is_a_clear_error(tmp_path, sizes):
    folder = trained(tmp_path / "run", MODELS["look-alike"]).folder
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**about, **sizes}))
    with pytest.raises(ValueError, match=r"config\.json|model\.pth"):
        load_run(folder, model=LookAlike)


class Without(nn.Module):
    """Nothing to train by."""

    def __init__(self, config):
        super().__init__()
        self.config, self.weight = config, nn.Parameter(torch.zeros(1))


class Bare(Without):
    """Nothing that says its sizes."""

    def __init__(self, config):
        super().__init__(None)

    def objective(self):
        return Terms()


class Masked(LookAlike):
    """A number that no file may hold."""

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (Without, TypeError, r"model: expected a module with a method objective\(\), got Without"),
        (
            Bare,
            TypeError,
            r"model: expected a module with config.image_shape, .*, got a Bare without config.image_shape",
        ),
        (
            Masked,
            ValueError,
            "model: expected one that opens again from what it saves, got Masked: .*mask: expected fin",
        ),
    ],
)
def test_what_would_fail_after_the_training_fails_before(tmp_path, model, error, message):
    with pytest.raises(error, match=message):
        trained(tmp_path / "run", (model, TOLD if model is not Masked else OwnConfig(), ()))
    assert not (tmp_path / "run").exists()


def test_a_model_with_a_configuration_needs_no_other(tmp_path):
    pictures, _ = images(96, side=10)
    run = train("autoencoder", pictures, model=LookAlike, epochs=1, run_dir=tmp_path / "run")
    assert run.config == dataclasses.replace(
        OwnConfig(image_shape=(1, 10, 10)), train=dataclasses.replace(OwnConfig().train, epochs=1)
    )
    with pytest.raises(ValueError, match="preset: expected none beside a configuration, got 'vae-2d'"):
        train("autoencoder", pictures, model=LookAlike, preset="vae-2d", run_dir=tmp_path / "other")


def test_a_function_makes_a_model_too(tmp_path):
    def wider(config):
        return LookAlike(dataclasses.replace(config, latent=5))

    wider.configuration = OwnConfig
    run = trained(tmp_path / "run", (wider, OwnConfig(), ()))
    assert load_run(tmp_path / "run", model=wider).encode(images(3)[0]).shape == (3, 5)
    assert run.about["model"] == "wider"


def test_a_model_with_latents_serves_few_labels(tmp_path):
    pictures, labels = images(120)
    config = configuration("few-label", epochs=1)
    words = {"labels": labels[:96], "test": (pictures[96:], labels[96:])}
    train("few-label", pictures[:96], config=config, model=OwnVAE, run_dir=tmp_path / "run", **words)
    found = evaluate_run(tmp_path / "run", test=words["test"], model=OwnVAE)
    assert 0 <= found["accuracy"] <= 1
    assert (tmp_path / "run/pictures/latents.png").exists()


class One(Terms):
    """Says that there are two terms."""

    terms = ("loss", "more")

    def __init__(self, given):
        self.given = given

    def __call__(self, model, batch, *, beta, seed):
        return self.given(model(batch[1]).square().mean())


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda loss: (loss,), ValueError, "One: expected to give 2 numbers, as it says, got 1"),
        (lambda loss: (loss, loss, loss), ValueError, "One: expected to give 2 numbers, as it says, got 3"),
        (lambda loss: loss, TypeError, "One: expected to give a tuple of terms, got a tensor"),
    ],
)
def test_an_objective_gives_as_many_terms_as_it_says(tmp_path, given, error, message):
    class Wrong(PixelMeans):
        def objective(self):
            return One(given)

    with pytest.raises(error, match=message):
        trained(tmp_path / "run", (Wrong, OwnConfig(), ()))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (None, TypeError, r"Wrong.objective\(\): expected an objective, .*, got NoneType"),
        (lambda model, batch: 0, TypeError, r"Wrong.objective\(\): expected an objective, .*, got function"),
        (Terms(), TypeError, r"Wrong.objective\(\): expected an objective, .*, got Terms"),
    ],
)
def test_what_is_no_objective_is_refused(tmp_path, given, error, message):
    class Wrong(PixelMeans):
        def objective(self):
            return given

    with pytest.raises(error, match=message):
        trained(tmp_path / "run", (Wrong, OwnConfig(), ()))
    assert not (tmp_path / "run").exists()


def test_the_first_term_is_the_loss(tmp_path):
    class Errors(One):
        terms = ("error", "loss")

    class Wrong(PixelMeans):
        def objective(self):
            return Errors(lambda loss: (loss, loss))

    message = r"Wrong.objective\(\): expected terms of which the first is 'loss', got error, loss"
    with pytest.raises(ValueError, match=message):
        trained(tmp_path / "run", (Wrong, OwnConfig(), ()))
    assert not (tmp_path / "run").exists()


class Listing(LookAlike):
    """Latents in a list."""

    def encode(self, images):
        return list(super().encode(images))

    def forward(self, images, seed):
        return super().decode_logits(super().encode(images)[0]), *super().encode(images)


class Half(LookAlike):
    """Draws the upper half of an image."""

    def decode(self, z):
        return super().decode(z)[:, :, :6]


class OtherPrior(LookAlike):
    def __init__(self, config):
        super().__init__(config)
        self.prior = nn.Linear(2, 2)


class OtherLikelihood(LookAlike):
    def __init__(self, config):
        super().__init__(config)
        self.likelihood = nn.BCELoss()

    def decode(self, z):
        return self.decode_logits(z).sigmoid()


@pytest.mark.parametrize(
    ("model", "config", "message"),
    [
        (OtherPrior, OwnConfig(), "model.prior: expected a models.Prior, got Linear"),
        (OtherLikelihood, OwnConfig(), "model.likelihood: expected a models.Likelihood, got BCELoss"),
        (Listing, OwnConfig(), "model: expected one whose encode gives latents .*, got Listing: "),
        (Half, OwnConfig(), r"whose decode gives images .*, got Half, which draws \[\(2, 1, 6, 12\)"),
        (LookAlike, OwnConfig(classes=3), "model: expected one whose encode .*, got LookAlike: .*encode"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_the_training(tmp_path, model, config, message):
    with pytest.raises(TypeError, match=message):
        trained(tmp_path / "run", (model, config, ()))
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True)
class Little:
    """Neither how it is trained nor for which images."""

    latent: int = 2


class Numbers:
    latent = 2


def with_configuration(kind):
    return type("Model", (LookAlike,), {"configuration": kind})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LookAlike(OwnConfig()), "model: expected a class of modules, or a function .*, got an object of LookAlike"),
        ("LookAlike", "model: expected a class of modules, or a function that makes one, got an object of str"),
        (dict, "model: expected a class of modules, or a function that makes one, got the class dict"),
        (lambda config: {}, "model: expected <lambda> to make a module, got dict"),
        (with_configuration(OwnConfig()), "Model.configuration: expected a dataclass, got an object of OwnConfig"),
        (with_configuration(Numbers), "Model.configuration: expected a dataclass, got the class Numbers"),
        (
            with_configuration(Little),
            "Model.configuration: expected a dataclass with train, .*, got one without train, network, for_shape",
        ),
    ],
)
def test_what_makes_no_model_is_refused(tmp_path, model, message):
    pictures, _ = images()
    for words in ({}, {"config": OwnConfig()}) if hasattr(model, "configuration") else ({"config": TOLD},):
        with pytest.raises(TypeError, match=message):
            train("autoencoder", pictures, model=model, run_dir=tmp_path / "run", **words, **_told(words))
    assert not (tmp_path / "run").exists()


def _told(words):
    """Labels, where the configuration has classes."""
    return {"labels": images()[1]} if words.get("config") is TOLD else {}
