"""`latentcore train`: whatever the system."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from latentcore import _extras, systems
from latentcore._catalogue import did_you_mean
from latentcore.commands import options as given
from latentcore.terminal.parsing import Parser, folder_name, left_out, table
from latentcore.training.system import System

_OPTIONS_WITH_RESUME = ("data", "more_data", "test", "channels_last", "resume")


def train(words: list[str]) -> None:
    """Train a system, evaluate it on its test data and draw its pictures."""
    if words[:1] in ([], ["-h"], ["--help"]):
        print(_help())
        raise SystemExit(0 if words else 2)
    if words[0] not in systems.catalogue.names:
        _parser_of_all().error(f"unknown system {words[0]!r}{did_you_mean(words[0], systems.catalogue.names)}")
    system = systems.find(words[0])
    told = _parser(system).told(words[1:])
    _train(system, told)


def _train(system: System[Any], told: dict[str, Any]) -> None:
    _extras.need("train")
    from latentcore.commands.evaluate import show_judgement
    from latentcore.training import driver
    from latentcore.training.judging import evaluate

    resumed = told["resume"]
    if resumed is not None:
        _check_alone(system, told)
    options = given.options_of(system, told)
    where, kind = given.where(told, options), system.part("data")
    if resumed is not None:
        _, config = driver.configuration_in(system, resumed)
        examples = kind.reopened(resumed, where, config, "train")
    else:
        examples = kind.opened(where, given.configured_to_open(system, told))
        config = given.configured(system, told, kind.shape(examples))
    if system.checked is not None:
        system.part("checked")(config, examples, options)
    if resumed is not None:
        run = driver.resume(system, resumed, examples)
    else:
        run = driver.train(system, examples, config, told["run_dir"])
    show_judgement(run, evaluate(system, run, examples, options))


def _parser(system: System[Any]) -> Parser:
    name, first = system.name, {"images": "mnist", "events": "events.h5"}.get(system.kind, "FOLDER")
    example = f"latentcore train {name} {first} --epochs 5 --run-dir runs/first"
    usage = f"train {name} [DATA ...] [options]"
    parser = Parser(f"train {name}", system.does, example, given.described(system), usage=usage)
    default = " (what LATENTCORE_DATA names)" if system.kind == "images" else ""
    given.add_data(parser, system, f"data sets by name, files or folders{default}")
    given.add_settings(parser, system)
    given.add_options(parser, system)
    parser.add_argument("--run-dir", type=folder_name, metavar="DIR", help=f"the run's folder (runs/{name}-<time>)")
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with an interrupted run")
    return parser


def _check_alone(system: System[Any], told: dict[str, Any]) -> None:
    """Options of a new run do not stand beside `--resume`: the run has its own."""
    also = {*_OPTIONS_WITH_RESUME, *(part.name for part in fields(system.options))}
    wrong = [
        f"--{name.replace('_', '-')}" for name, value in told.items() if name not in also and value not in (None, [])
    ]
    if wrong:
        raise ValueError(f"--resume: expected no {', '.join(wrong)} beside it: the run has its own")


def _parser_of_all() -> Parser:
    return Parser("train", "train a system", usage="train SYSTEM [DATA ...] [options]")


def _help() -> str:
    found, broken = systems.catalogue.available()
    lines = ["usage: latentcore train SYSTEM [DATA ...] [options]\n\nsystems:"]
    lines.append(table({system.name: system.does for system in found}))
    more = "\n`latentcore train SYSTEM --help` has its options and all fields of its configuration."
    return "\n".join([*lines, *left_out(broken), more])
