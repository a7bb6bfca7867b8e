"""A VAE that the runs of a sweep share is taken over whole or not at all."""

import dataclasses
import shutil

import pytest
import torch
from rotations import FROZEN, bars, with_operator

from latentcore.data.examples import Examples
from latentcore.systems.rotation import sweep
from latentcore.systems.rotation.pairs import IMAGES

SHORT = {name: dataclasses.replace(getattr(FROZEN, name), epochs=1) for name in ("train", "vae_train")}
WANTED = {
    model: dataclasses.replace(with_operator(model, FROZEN), **SHORT) for model in ("equivariant", "mlp", "recurrent")
}


@pytest.fixture
def examples():
    given = IMAGES.given(bars()[:60], FROZEN, test=bars()[60:80])
    return Examples(given.train, given.test)


def tensors(folder):
    state = torch.load(folder / "checkpoints/model.pth", weights_only=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("where", ["in the middle", "before it has its name"])
def test_an_interruption_while_it_is_copied(tmp_path, examples, monkeypatch, where):
    def half(source, destination):
        destination.mkdir()
        shutil.copyfile(source / "config.json", destination / "config.json")
        raise KeyboardInterrupt

    def unnamed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if where == "in the middle":
            patch.setattr(shutil, "copytree", half)
        else:
            patch.setattr(type(tmp_path), "rename", unnamed)
        with pytest.raises(KeyboardInterrupt, match="the same command goes on where it stopped"):
            sweep.sweep(examples, WANTED, tmp_path / "swept")
    assert not (tmp_path / "swept/mlp/vae").exists()
    sweep.sweep(examples, WANTED, tmp_path / "swept")
    sweep.sweep(examples, {"mlp": WANTED["mlp"]}, tmp_path / "alone")
    for folder in (tmp_path / "swept" / model / "vae" for model in WANTED):
        found, expected = tensors(folder), tensors(tmp_path / "alone/mlp/vae")
        assert all(torch.equal(found[name], value) for name, value in expected.items())
    found, expected = tensors(tmp_path / "swept/mlp"), tensors(tmp_path / "alone/mlp")
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert not [path for path in (tmp_path / "swept").rglob(".*") if path.is_dir()]


def test_it_is_trained_once_and_its_seconds_count(tmp_path, examples):
    sweep.sweep(examples, {"equivariant": WANTED["equivariant"]}, tmp_path)
    vae = tmp_path / "equivariant/vae/checkpoints/last.pth"
    state = torch.load(vae, weights_only=True)
    state["history"][0]["seconds"] = 1000.0
    torch.save(state, vae)
    sweep.sweep(examples, WANTED, tmp_path)
    for model in ("mlp", "recurrent"):
        assert (tmp_path / model / "vae/checkpoints/last.pth").read_bytes() == vae.read_bytes()
        assert 1000 < sweep.driver.open_run(sweep.SYSTEM, tmp_path / model).metrics["seconds"] < 1100


@pytest.mark.parametrize("change", ["seed", "images", "epochs"])
def test_another_training_has_a_vae_of_its_own(tmp_path, examples, change):
    sweep.sweep(examples, {"equivariant": WANTED["equivariant"]}, tmp_path)
    config = WANTED["mlp"]
    if change == "seed":
        config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=1))
    elif change == "epochs":
        config = dataclasses.replace(config, vae_train=dataclasses.replace(config.vae_train, epochs=2))
    else:
        examples = dataclasses.replace(examples, train=IMAGES.given(bars()[:50], FROZEN).train)
    sweep.sweep(examples, {"mlp": config}, tmp_path)
    one, two = (tensors(tmp_path / name / "vae") for name in ("equivariant", "mlp"))
    assert any(not torch.equal(value, two[name]) for name, value in one.items())
