"""The quality suites' files, on a few digits."""

import dataclasses
import json
import sys
from functools import partial

import pytest
import torch
from benchmarks.quality import (
    __main__ as quality,
    autoencoders,
    digits148,
    egamma,
    generative,
    latent_rotation,
    photographs,
)
from benchmarks.quality.figures import Figure

import latentcore
from benchmarks import egamma_throughput
from latentcore.models import MLPConfig

ROTATION_CONTRACT = {
    "psnr_gap_worst", "psnr_mean", "ssim_worst", "psnr_gap_unseen", "psnr_composed_worst", "label_kept_composed",
    "label_kept_worst", "psnr_gap_scale_translate",
}  # fmt: skip
CONTRACT = ["f1_mean", "f1_worst", "ssim", "mse", "seconds_per_seed", "parameters", "f1_plain"]


def test_a_figure_counts_the_mean_or_the_worst_seed():
    assert Figure("a", "at_least", 2).row([1, 4]) == {
        "figure": "a", "values": [1, 4], "reached": 2.5, "goal": None, "at_least": 2, "met": True
    }  # fmt: skip
    assert Figure("a", "at_least", 2, worst=True).row([1, 4])["met"] is False
    assert Figure("a", "at_most", 2, worst=True).row([1, 4])["reached"] == 4
    assert Figure("a").row([1.0])["met"] is None


def test_the_file_is_as_promised(tmp_path, monkeypatch, mnist_folder, capsys):
    preset = digits148.PRESET
    small = dataclasses.replace(preset, train=dataclasses.replace(preset.train, epochs=3))
    monkeypatch.setattr(digits148, "PRESET", small)
    file = tmp_path / "out.json"
    arguments = ["quality", "digits148", "--json", str(file), "--data", str(mnist_folder)]
    monkeypatch.setattr(sys, "argv", arguments)
    assert quality.main() == 0
    content = json.loads(file.read_text())
    assert list(content) == ["suite", "commit", "machine", "seconds", "rows"]
    assert [row["figure"] for row in content["rows"]] == CONTRACT
    for row in content["rows"]:
        assert len(row["values"]) == 1
        assert {"figure", "values", "reached", "goal", "met"} <= set(row)
    assert "MISSED" in capsys.readouterr().out  # three epochs do not reach the bars


def short(config):
    """The configuration, with small networks and one epoch."""
    train = dataclasses.replace(config.train, epochs=1, device="cpu")
    if hasattr(config, "resnet"):
        return dataclasses.replace(config, train=train, resnet=dataclasses.replace(config.resnet, width=1 / 16))
    small = dataclasses.replace(config.vae, latent=8, network=MLPConfig(hidden=(16,), decoder_hidden=(16,)))
    vae_train = None if config.vae_train is None else dataclasses.replace(config.vae_train, epochs=1)
    return dataclasses.replace(config, vae=small, train=train, vae_train=vae_train)


@pytest.mark.long
@pytest.mark.parametrize("rows", [[], ["psnr_held_out", "psnr_mean_study"]])
def test_latent_rotation_has_the_promised_figures(tmp_path, monkeypatch, few_digits, rows):
    presets = latent_rotation.ROTATIONS
    monkeypatch.setattr(latent_rotation, "ROTATIONS", {name: short(config) for name, config in presets.items()})
    monkeypatch.setattr(latent_rotation, "CLASSIFIERS", {"rotated": short(latent_rotation.CLASSIFIERS["rotated"])})
    file = tmp_path / "out.json"
    arguments = ["quality", "latent-rotation", "--json", str(file), "--data", str(few_digits)]
    monkeypatch.setattr(sys, "argv", [*arguments, *(["--rows", *rows] if rows else [])])
    assert quality.main() == 0
    found = {row["figure"]: row for row in json.loads(file.read_text())["rows"]}
    if rows:
        assert list(found) == rows
    else:
        assert set(found) >= ROTATION_CONTRACT
        assert not set(found) & latent_rotation.FULL_ONLY
        assert all("at_least" in found[name] or "at_most" in found[name] for name in ROTATION_CONTRACT)


def test_an_unknown_row_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["quality", "digits148", "--json", str(tmp_path / "a"), "--rows", "nonsense"])
    with pytest.raises(SystemExit):
        quality.main()
    assert "--rows: expected some of f1_mean" in capsys.readouterr().err


@pytest.mark.long
def test_egamma_has_the_promised_figures(tmp_path, monkeypatch):
    for module, name, value in (
        (egamma, "TRAIN_EVENTS", 400),
        (egamma, "TEST_EVENTS", 200),
        (egamma, "READER_EVENTS", 1000),
        (egamma_throughput, "STEPS", 2),
        (egamma_throughput, "TURNS", 2),
        (egamma_throughput, "NETWORK", dataclasses.replace(egamma_throughput.NETWORK, width=1 / 16)),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(egamma, "PRESETS", {"small": short(egamma.PRESETS["small"])})
    file = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["quality", "egamma", "--json", str(file)])
    assert quality.main() == 0
    rows = {row["figure"]: row for row in json.loads(file.read_text())["rows"]}
    assert rows.keys() >= {"auc_gap_oracle", "auc", "throughput_ratio", "reader_ratio", "reader_peak_mb"}
    assert rows["auc_gap_oracle"]["reached"] == pytest.approx(rows["oracle_auc"]["reached"] - rows["auc"]["reached"])
    assert rows["throughput_ratio"]["at_least"] == 2.3
    assert 0 < rows["reader_peak_mb"]["reached"] < 400


@pytest.mark.long
def test_autoencoders_have_the_promised_figures(tmp_path, monkeypatch, few_digits):
    presets = autoencoders.AUTOENCODERS
    quick = {
        name: dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=1, device="cpu"))
        for name, config in presets.items()
    }
    for name, value in (
        ("STUDY_EPOCHS", 1),
        ("TURNS", 1),
        ("SAMPLES", 5),
        ("AUTOENCODERS", quick),
        ("CLASSIFIERS", {"upright": short(autoencoders.CLASSIFIERS["upright"])}),
    ):
        monkeypatch.setattr(autoencoders, name, value)
    file = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["quality", "autoencoders", "--json", str(file), "--data", str(few_digits)])
    assert quality.main() == 0
    rows = {row["figure"]: row for row in json.loads(file.read_text())["rows"]}
    assert list(rows) == [
        "epoch_ratio_mlp", "epoch_ratio_conv", "conv_vae_nats", "best_vae_nats", "vae2d_nats_difference",
        "vae2d_elbo_binarised", "cvae_accuracy",
    ]  # fmt: skip
    assert rows["best_vae_nats"]["training"]["parameters"][0] < 3_000_000
    assert rows["vae2d_elbo_binarised"]["training"]["parameters"][0] < 2_000_000
    assert 100 < rows["conv_vae_nats"]["reached"] < 600
    assert 0 <= rows["cvae_accuracy"]["reached"] <= 1


def of_one_epoch(presets, name, **changes):
    """The presets, of which one has a single epoch and the given changes."""
    config = dataclasses.replace(presets[name], **changes)
    train = dataclasses.replace(config.train, epochs=1, device="cpu")
    return {**presets, name: dataclasses.replace(config, train=train)}


@pytest.fixture
def quick_generative(monkeypatch):
    """Small trainings; the systems that are trained by name."""
    trained = []

    def counted(system, *arguments, **others):
        trained.append(system)
        return train(system, *arguments, **others)

    train = latentcore.train
    small = dataclasses.replace(generative.GANS["digits"].gan, channels=(4, 8), hidden=16)
    patches = tuple(torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8) for count in (130, 40))
    vae = dataclasses.replace(photographs.PRESETS["patches"].vae, channels=(4, 8), latent=4)
    for module, name, value in (
        (latentcore, "train", counted),
        (generative, "figures", partial(generative.figures, samples=200)),
        (generative, "GANS", of_one_epoch(generative.GANS, "digits", gan=small)),
        (generative, "AUTOENCODERS", of_one_epoch(generative.AUTOENCODERS, "conv-vae-32")),
        (generative, "CLASSIFIERS", {"upright": short(generative.CLASSIFIERS["upright"])}),
        (photographs, "PRESETS", of_one_epoch(photographs.PRESETS, "patches", vae=vae)),
        (photographs, "patches", lambda: patches),
    ):
        monkeypatch.setattr(module, name, value)
    return trained


@pytest.mark.long
def test_generative_has_the_promised_figures(tmp_path, monkeypatch, few_digits, quick_generative):
    file = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", ["quality", "generative", "--json", str(file), "--data", str(few_digits)])
    assert quality.main() == 0
    rows = {row["figure"]: row for row in json.loads(file.read_text())["rows"]}
    assert list(rows) == ["gan_frechet", "gan_coverage_error", "photos_mse_ratio_pca"]
    assert quick_generative.count("gan") == 1  # of both rows
    beside = rows["gan_frechet"]["beside"][0]
    assert rows["gan_frechet"]["reached"] == pytest.approx(beside["frechet"] / beside["frechet_beside"])
    assert rows["gan_coverage_error"]["reached"] == beside["coverage_error"]
    beside = rows["photos_mse_ratio_pca"]["beside"][0]
    assert rows["photos_mse_ratio_pca"]["reached"] == pytest.approx(beside["mse"] / beside["sklearn_pca_mse"])
    for row in rows.values():
        assert row["training"]["seconds"][0] > 0
        assert row["training"]["parameters"][0] > 0


def test_photographs_need_neither_digits_nor_a_gan(tmp_path, monkeypatch, quick_generative):
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)
    file = tmp_path / "out.json"
    arguments = ["quality", "generative", "--rows", "photos_mse_ratio_pca", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", [*arguments, "--data", str(tmp_path / "missing")])
    assert quality.main() == 0
    assert [row["figure"] for row in json.loads(file.read_text())["rows"]] == ["photos_mse_ratio_pca"]
    assert quick_generative == ["photographs"]
