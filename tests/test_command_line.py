"""The command line of every system, which is made from what the system says of itself."""

import json
import sys

import pytest

from children import run_child
from latentcore import _config, _settings, systems
from latentcore.cli import main
from latentcore.commands.options import SHORTCUTS

GAN = ("train", "gan", "digits")
NAMES = sorted(systems.catalogue.own)
PRESETS = [(name, preset) for name in NAMES for preset in systems.find(name).presets]
HELP = [[], ["train"], ["evaluate"], ["config"], ["data"], ["report"], *(["train", name] for name in NAMES)]


def call(*arguments):
    return main([str(argument) for argument in arguments])


def test_help_leaves_torch_out():
    """In one process, which begins anew for nobody: what is imported once stays."""
    code = f"""
import sys
from latentcore.cli import main
for words in {HELP!r}:
    try:
        main([*words, "--help"])
    except SystemExit as stopped:
        assert not stopped.code, words
heavy = {{"torch", "numpy", "matplotlib", "rich", "h5py", "sklearn"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = run_child([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
    for name in NAMES:
        assert f"latentcore train {name} " in done.stdout


def test_commands_of_systems_have_help_without_torch():
    names = sorted(name for system in systems.catalogue.available()[0] for name in system.commands)
    code = f"""
import sys
from latentcore.cli import main
for name in {names!r}:
    try:
        main([name, "--help"])
    except SystemExit as stopped:
        assert not stopped.code, name
assert not {{"torch", "numpy"}} & set(sys.modules)
"""
    done = run_child([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_help_says_what_a_system_does_with_its_real_defaults(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        call("train", name, "--help")
    assert not stopped.value.code
    printed, system = capsys.readouterr().out, systems.find(name)
    assert system.does[1:] in printed
    assert f"latentcore train {name} " in printed.split("example:")[1]
    for option in (*SHORTCUTS, "--preset", "--config", "--set", "--run-dir", "--resume", "--test"):
        assert option in printed
    assert f"train.epochs = {system.preset.train.epochs}\n" in printed
    assert f"train.epochs ({system.preset.train.epochs})" in printed
    for preset in system.presets:
        assert preset in printed


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_a_preset_is_a_file_and_a_file_is_a_configuration(name, preset, tmp_path, capsys):
    system, file = systems.find(name), tmp_path / "my.json"
    assert call("config", name, preset, "--out", file) == 0
    assert system.read(json.loads(file.read_text()), "my.json") == system.presets[preset]
    assert capsys.readouterr().out == f"{file}: {preset}\n"
    assert call("config", name, preset) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(file.read_text())


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_every_field_can_be_set_to_what_it_is(name, preset):
    config = systems.find(name).presets[preset]
    for path, value in _config.flat(config):
        words = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words = {"True": "true", "False": "false", "None": "none"}.get(words, words)
        assert _settings.changed(config, {path: words}) == config, path


@pytest.mark.parametrize("name", NAMES)
def test_shortcuts_set_fields_that_are_there(name):
    system = systems.find(name)
    fields = {path for config in system.presets.values() for path, _ in _config.flat(config)}
    for option, paths in system.shortcuts.items():
        assert option.startswith("--")
        assert set(paths) & fields, option


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nonsense",), 2, "latentcore: error: unknown command 'nonsense'"),
        (("trian", "gan"), 2, "unknown command 'trian'; did you mean train?"),
        (("train", "gna"), 2, "unknown system 'gna'; did you mean gan?"),
        (("train", "gan", "--epoch", 3), 2, "latentcore train gan: error: unknown: --epoch; did you mean --epochs?"),
        (("data", "ftech"), 2, "unknown action 'ftech'; did you mean fetch?"),
        (("evaluate",), 2, "RUN: expected a run folder as the first word"),
        (("evaluate", "nowhere"), 1, "error: [Errno 2] No such file or directory: 'nowhere/config.json'"),
        (
            (*GAN, "--preset", "digit"),
            1,
            "preset: expected one of digits, got 'digit'; did you mean",
        ),
        ((*GAN, "--set", "gan.latnet=3"), 1, "an unknown name; did you mean gan.latent?"),
        ((*GAN, "--set", "gan.latent"), 1, "--set: expected FIELD=VALUE, got 'gan.latent'"),
        (
            (*GAN, "--set", "gan=3"),
            1,
            "gan: expected one of its fields, as gan.image_shape, got '3'",
        ),
        ((*GAN, "--set", "gan.latent=ten"), 1, "gan.latent: expected a whole number, got 'ten'"),
        ((*GAN, "--set", "train.binarise=1"), 1, "train.binarise: expected true or false, got '1'"),
        ((*GAN, "--epochs", 0), 1, "TrainConfig.epochs: expected a number in [1, inf], got 0"),
        (
            (*GAN, "--seed", -1),
            1,
            "TrainConfig.seed: expected a number in [0, 2.14748e+09], got -1",
        ),
        ((*GAN, "--device", "gpu"), 1, "train.device: expected one of 'auto', 'cpu', 'cuda'"),
        (
            (*GAN, "--early-stop", 3),
            1,
            "expected 0 without validation data (TrainConfig.validation",
        ),
        ((*GAN, "--run-dir", ""), 2, "expected a folder, got an empty name"),
        ((*GAN, "--config", "nowhere.json"), 1, "No such file or directory: 'nowhere.json'"),
        (
            (*GAN, "--resume", "nowhere", "--epochs", 3),
            1,
            "--resume: expected no --epochs beside it",
        ),
        (
            (*GAN, "mnist"),
            1,
            "DATA: expected one file, folder or data set of images, got 2 of them",
        ),
        (("config", "gan", "digit"), 1, "preset: expected one of digits, got 'digit'; did you mean digits?"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_leaves_nothing(words, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if code == 2:
        with pytest.raises(SystemExit) as stopped:
            call(*words)
        assert stopped.value.code == 2
    else:
        assert call(*words) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert len(printed.splitlines()) == code  # the usage of the command itself is the first one
    assert not list(tmp_path.iterdir())
