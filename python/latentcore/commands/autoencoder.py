"""`latentcore train autoencoder`, the evaluation of its runs, `latentcore config` and `latentcore compare`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore import _config
from latentcore._files import write_json
from latentcore.commands.held_out import Where, divided, held_out, resumed
from latentcore.commands.inputs import check_alone
from latentcore.commands.outputs import place_of
from latentcore.data import ImageSet
from latentcore.data.convert import as_classes
from latentcore.data.held_out import check_unchanged, describe
from latentcore.evaluate import autoencoder as evaluation
from latentcore.evaluate import compare as comparison
from latentcore.terminal.tables import finish, show_rows
from latentcore.training.autoencoder import AutoencoderRun, AutoencodingConfig, resume_autoencoder, train_autoencoder
from latentcore.training.presets import AUTOENCODERS
from latentcore.training.runs import load_run
from latentcore.training.systems import configuration_of


def train(
    *,
    data: Path | None,
    test: Path | None,
    channels_last: bool | None,
    preset: str | None,
    config: Path | None,
    seed: int | None,
    epochs: int | None,
    resume: Path | None,
    run_dir: Path | None,
) -> None:
    """Train an autoencoder or a VAE, evaluate it on the test images and draw its pictures."""
    if resume is not None:
        check_alone({"preset": preset, "config": config, "seed": seed, "epochs": epochs, "run_dir": run_dir})
        images = resumed(resume, Where(data, test, channels_last))
        chosen = configuration_of(resume / "config.json", AutoencodingConfig)
        _check_told(images.test, chosen)
        run = resume_autoencoder(resume, images.train.images, labels=_wanted(images.train, chosen))
    else:
        images = divided(Where(data, test, channels_last))
        chosen = _configured(preset, config, images.train, seed, epochs)
        _check_told(images.test, chosen)
        labels = _wanted(images.train, chosen)
        run = train_autoencoder(images.train.images, chosen, run_dir, labels=labels, held_out=images.record)
    report(run, images.test)


def _configured(
    preset: str | None, config: Path | None, images: ImageSet, seed: int | None, epochs: int | None
) -> AutoencodingConfig:
    """The configuration that the options describe; a preset takes the images' own size."""
    if preset is not None and config is not None:
        raise ValueError("--config: expected no --preset beside it")
    if config is not None:
        chosen = configuration_of(config, AutoencodingConfig)
    else:
        chosen = AUTOENCODERS[preset or "vae-2d"].for_images(images.images.shape[1:])
    changes: dict[str, Any] = {"seed": seed, "epochs": epochs}
    given = {name: value for name, value in changes.items() if value is not None}
    return replace(chosen, train=replace(chosen.train, **given))


def _wanted(images: ImageSet, config: AutoencodingConfig) -> Any:
    return images.known_labels() if config.network.classes else None


def _check_told(test: ImageSet, config: AutoencodingConfig) -> None:
    """The test images can be evaluated; otherwise that would come out after the training."""
    if config.network.classes:
        as_classes(test.labels, len(test), config.network.classes, "labels of the test images")


def report(run: AutoencoderRun, test: ImageSet, *, tsne: bool = False, out: Path | None = None) -> None:
    """Evaluate a run on test images, and draw its pictures."""
    pictures = evaluation.write_pictures(run, test, tsne=tsne, out=out)
    finish(run, evaluation.figures(run, test), out)
    print(f"pictures     {', '.join(path.name for path in pictures)}")


def report_on(
    run: AutoencoderRun,
    data: Path | None,
    test: Sequence[Path] | None,
    *,
    channels_last: bool | None,
    tsne: bool,
    out: Path | None,
) -> None:
    """Evaluate a run on the test images that the options lead to."""
    if test and len(test) != 1:
        raise ValueError(f"--test: expected one file of images, got {len(test)}")
    images = held_out(run.folder, Where(data, test[0] if test else None, channels_last))
    place = place_of(run.folder, out, images.own, images.name, describe(images.test)["sha256"])
    report(run, images.test, tsne=tsne, out=place)


def compare(
    *, runs: Sequence[Path], data: Path | None, test: Path | None, channels_last: bool | None, out: Path
) -> None:
    """Set runs side by side: their figures as a table, their pictures in a folder."""
    opened = {folder.name or str(folder): load_run(folder) for folder in runs}
    if len(opened) != len(runs):
        raise ValueError(f"RUN: expected folders of different names, got {', '.join(map(str, runs))}")
    for name, run in opened.items():
        if not isinstance(run, AutoencoderRun):
            raise ValueError(f"{name}: expected a run with an autoencoder, got one of {run.config['system']!r}")
    images = _judged_by(runs, Where(data, test, channels_last))
    rows = comparison.table(opened, images)
    files = comparison.write_comparison(opened, images, out, rows)
    columns = [column for column in rows[0] if column != "run"]
    show_rows("figures", ["figure", *opened], [_across(column, rows) for column in columns])
    print(f"\npictures     {', '.join(str(path) for path in files)}")


def _judged_by(runs: Sequence[Path], where: Where) -> ImageSet:
    """The images to compare all runs on, from which none of them has learned."""
    found = {folder: held_out(folder, where).test for folder in runs}
    first = found[runs[0]]
    for folder, images in found.items():
        check_unchanged(f"what {folder} has held out", runs[0], describe(first), describe(images), "name --test")
    return first


def _across(column: str, rows: Sequence[Mapping[str, float | str]]) -> dict[str, object]:
    return {"figure": column, **{str(row["run"]): row[column] for row in rows}}


def config(*, preset: str, out: Path) -> None:
    """Write a preset as a file to change, for `--config`."""
    write_json(out, _config.to_plain(AUTOENCODERS[preset]))
    print(f"{out}: {preset}")
