"""Systems of other packages with mistakes in them: each costs a line, once, and nothing else."""

import dataclasses
import sys
from contextlib import suppress
from importlib.metadata import EntryPoint

import pytest
import torch
from own_models import OwnConfig

from latentcore import _catalogue, load_run, systems, train
from latentcore.cli import main
from latentcore.report.folder import read_folders
from latentcore.training.system import Command, System

PLAIN = {
    "name": "theirs",
    "does": "what they do",
    "config": OwnConfig,
    "presets": {"first": OwnConfig()},
    "training": "no_such_module:Training",
    "run": "math:Run",
    "evaluate": "math:sqrt",
}


@dataclasses.dataclass(frozen=True)
class Named(OwnConfig):
    validation: int = 3


@pytest.fixture
def declare(monkeypatch, tmp_path):
    """Declares a module's `SYSTEM` under a name; the module has this text."""
    monkeypatch.syspath_prepend(tmp_path)

    def declared(name, text):
        (tmp_path / "theirs_of_a_test.py").write_text(text)
        monkeypatch.delitem(sys.modules, "theirs_of_a_test", raising=False)
        point = EntryPoint(name, "theirs_of_a_test:SYSTEM [more]", systems.GROUP)
        monkeypatch.setattr(_catalogue, "entry_points", lambda group: [point] if group == systems.GROUP else [])
        found = _catalogue.Catalogue("system", System, systems.GROUP, systems.catalogue.own)
        monkeypatch.setattr(systems, "catalogue", found)
        monkeypatch.setattr(systems, "find", found.find)
        return found

    return declared


MADE = "from test_broken_plug_ins import PLAIN, System\nSYSTEM = System(**{**PLAIN, 'name': %r})\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, r"System\.name: expected words in one line, got None"),
        ({"does": None}, r"System\.does: expected words in one line, got None"),
        ({"does": "one\ntwo"}, r"System\.does: expected words in one line, got 'one\\ntwo'"),
        ({"does": "\x1b[31mred"}, r"System\.does: expected words in one line, got '\\x1b\[31mred'"),
        ({"presets": {}}, r"System\.presets: expected configurations by name, one at least, got \{\}"),
        ({"presets": {"first": None}}, r"System\.presets: expected configurations by name"),
        ({"config": Named}, "Named: expected fields of other names than system.*, got validation"),
        ({"commands": {"bad": ("x", "y")}}, r"System\.commands\['bad'\]: expected a Command, got tuple"),
        ({"commands": {"bad": Command("\x1b", "y")}}, r"Command\.does of bad: expected words in one line"),
        ({"commands": {"b\n": Command("x", "y")}}, "the name of a command: expected words in one line"),
    ],
)
def test_a_system_says_what_is_wrong_with_it(changes, message):
    with pytest.raises((TypeError, ValueError), match=message):
        System(**{**PLAIN, **changes})


def test_one_with_a_mistake_is_left_out_of_the_help(declare, capsys):
    declare("theirs", MADE.replace("'name'", "'does': None, 'name'") % "theirs")
    for words, what in ((["--help"], "the system theirs"), (["train", "--help"], "theirs")):
        with suppress(SystemExit):
            main(words)
        lines = capsys.readouterr().out.splitlines()
        (line,) = [line for line in lines if line.startswith("left out: ")]
        assert line.startswith(f"left out: {what}, which cannot be imported (ValueError: System.does: expected")


def test_words_of_an_error_reach_the_terminal_as_words(declare, capsys):
    declare("theirs", "raise RuntimeError('\\x1b[31mred\\nand more')")
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "\nleft out: the system theirs, which cannot be imported (RuntimeError: \\x1b[31mred and more)\n" in printed
    assert "\x1b" not in printed


def test_it_is_imported_once(declare, tmp_path):
    counter = tmp_path / "imports"
    found = declare(
        "theirs", f"with open({str(counter)!r}, 'a') as file:\n    file.write('x')\nraise RuntimeError('not today')"
    )
    messages = set()
    for _ in range(3):
        with pytest.raises(ImportError, match="not today") as error:
            found.find("theirs")
        messages.add(str(error.value))
        assert list(found.available()[1]) == ["theirs"]
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"system": "theirs", "format": 2}')
    (run,) = read_folders(folder)
    assert run.kind is None
    assert counter.read_text() == "x"
    assert len(messages) == 1


@pytest.mark.parametrize(
    ("part", "why"),
    [("training", "ModuleNotFoundError: No module named 'no_such_module'"), ("run", "AttributeError: ")],
)
def test_a_part_that_cannot_be_imported_is_named(part, why):
    with pytest.raises(
        ImportError, match=rf"{part} of the system theirs: expected '.*' that can be imported, got {why}"
    ):
        System(**PLAIN).part(part)


def test_a_command_that_cannot_be_imported_is_named(declare, capsys):
    text = (
        "from test_broken_plug_ins import PLAIN, Command, System\nSYSTEM = System(**PLAIN, commands={'more': Command("
    )
    declare("theirs", f"{text}'more of it', 'math:no')}})\n")
    assert main(["more"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: the command more: expected 'math:no' that can be imported, got AttributeError: ")


def test_a_training_that_cannot_be_imported_leaves_no_folder(declare, tmp_path, capsys):
    declare("theirs", MADE % "theirs")
    assert main(["train", "theirs", "digits", "--run-dir", str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err.startswith(
        "error: training of the system theirs: expected 'no_such_module:Training'"
    )
    assert not (tmp_path / "run").exists()


def test_a_page_of_a_run_whose_run_class_cannot_be_imported(declare, tmp_path):
    declare("theirs", MADE % "theirs")
    (tmp_path / "config.json").write_text('{"system": "theirs", "format": 2}')
    (found,) = read_folders([tmp_path])
    assert any(line.startswith("latents.npz: cannot be used. run of the system theirs") for line in found.missing)


def test_runs_of_ours_by_another_name_stay_ours(declare, tmp_path):
    train("autoencoder", torch.rand(48, 12, 12), preset="ae-2d", epochs=1, run_dir=tmp_path / "run")
    config = (tmp_path / "run/config.json").read_text()
    (tmp_path / "run/config.json").write_text(config.replace('"system": "autoencoder"', '"system": "vae"'))
    found = declare("vae", MADE % "vae")
    assert systems.system_of(tmp_path / "run").name == "autoencoder"
    assert load_run(tmp_path / "run").encode(torch.rand(3, 12, 12)).shape == (3, 2)
    with pytest.raises(ValueError, match=r"vae = .*: expected a name that nothing of latentcore had, got 'vae'"):
        found.find("vae")
