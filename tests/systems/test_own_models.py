"""Models of somebody's own: found by what they offer, trained, taken up again, opened, evaluated and reported."""

import dataclasses
import json
import sys

import pytest
import torch
from own_models import TOLD, LookAlike, OwnConfig, OwnVAE, PixelMeans, trained
from tiny import configuration, images

from latentcore import evaluate_run, load_run, resume, train, write_report
from latentcore.cli import main
from latentcore.models import VAE

MODELS = {
    "subclass": (OwnVAE, TOLD, {"test_images", "mse", "nats", "iw_nll", "active_units"}),
    "look-alike": (LookAlike, OwnConfig(), {"test_images", "mse", "nats", "iw_nll", "active_units"}),
    "objective alone": (PixelMeans, OwnConfig(), {"test_images", "test_loss", "test_absolute"}),
}


@pytest.fixture(params=MODELS)
def own(request):
    return MODELS[request.param]


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
