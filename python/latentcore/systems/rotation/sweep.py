"""Many variants of the system, as one table."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from latentcore import _errors, _settings
from latentcore._files import inside, read_config, read_json, write_json
from latentcore.data import ImageSet
from latentcore.data.examples import Examples
from latentcore.data.hashes import image_hash
from latentcore.data.held_out import check_unchanged, describe, read_record
from latentcore.evaluate.pictures import write_table
from latentcore.models import VAE
from latentcore.systems.rotation import SYSTEM, evaluation
from latentcore.systems.rotation.config import RotationConfig, TransformationWeights
from latentcore.systems.rotation.pairs import fitting
from latentcore.systems.rotation.run import RotationRun
from latentcore.systems.rotation.training import VAE_FOLDER, Training
from latentcore.terminal.tables import show_rows
from latentcore.training import driver
from latentcore.training.checkpoint import seconds_trained
from latentcore.training.processes import from_first, together
from latentcore.training.system import System

_SHOWN = (
    "psnr_mean",
    "psnr_gap_worst",
    "psnr_composed_worst",
    "psnr_gap_unseen",
    "ssim_worst",
    "parameters",
    "seconds",
)


def variants(
    base: RotationConfig,
    latents: Sequence[int],
    activations: Sequence[str],
    models: Sequence[str],
    losses: Sequence[str],
) -> dict[str, RotationConfig]:
    """All combinations, by their names, `<model>-<latent>-<activation>-<loss>`."""
    found = {}
    for latent, activation, loss, model in product(latents, activations, losses, models):
        words = {"vae.latent": str(latent), "vae.network.activation": activation}
        words |= {"operator.activation": activation, "operator.model": model}
        config = replace(_settings.changed(base, words), loss=weights_of(loss))
        found[f"{model}-{latent}-{activation}-{loss}"] = config
    return found


def weights_of(text: str) -> TransformationWeights:
    """Weights such as `image=1,latent=0.1`; a word alone weighs 1."""
    weights = {"image": 0.0, "latent": 0.0, "cosine": 0.0}
    for part in text.split(","):
        name, _, weight = part.partition("=")
        if name not in weights:
            _errors.fail_value("--losses", f"weights of {', '.join(weights)}", repr(part))
        try:
            weights[name] = float(weight or 1)
        except ValueError:
            _errors.fail_value("--losses", f"a number behind {name}=", repr(weight))
    return TransformationWeights(**weights)


def sweep(examples: Examples, wanted: Mapping[str, RotationConfig], out: Path) -> None:
    """Train and evaluate every combination that is not done yet; `out/sweep.csv` has a row for each that is.

    A combination's run is `out/<name>`. Interrupted, the sweep goes on where it stopped, in the middle of a run; later
    sweeps into the same folder add rows. Runs with the same VAE to begin with train it once.
    """
    try:
        for name, config in wanted.items():
            fabric = together(config.train)
            run = _trained(fabric, out / name, config, examples)

            def report(run: RotationRun = run) -> None:
                _measure(run, fitting(examples.test, run.config, examples.name))
                rows = _table(out)
                show_rows(f"{len(rows)} runs", ("run", *_SHOWN), rows)

            from_first(fabric, report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on where it stopped") from None
    if fabric.is_global_zero:
        print(f"\ntable   {out / 'sweep.csv'}")


def sharing(vae: Path | None) -> System[RotationConfig]:
    """The system, whose new runs take over the VAE in a folder, of another run of the same images and `vae_train`.

    It is taken over whole or not at all: of a part nobody could tell that it is one.
    """

    class Sharing(Training):
        def begin_vae(self, folder: Path, model: VAE) -> None:
            if vae is not None and not folder.exists():
                part = folder.with_name(f".{folder.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                shutil.copytree(vae, part)
                part.rename(folder)
                self.seconds_elsewhere = seconds_trained(folder)
            super().begin_vae(folder, model)

    return replace(SYSTEM, training=Sharing)


def _trained(fabric: Fabric, run_dir: Path, config: RotationConfig, examples: Examples) -> RotationRun:
    """The run in `run_dir`, which is opened, continued or begun."""
    images = image_hash(fitting(examples.train, config, "images"))

    def look() -> tuple[str, Path | None]:
        vae = _same_vae(run_dir.parent, config, images)
        if not (run_dir / "config.json").exists():
            return "begin", vae
        _check_same(run_dir, config, images, examples)
        return "open" if (run_dir / "metrics.json").exists() else "resume", vae

    task, vae = from_first(fabric, look)
    run: Any
    if task == "begin":
        run = driver.train(sharing(vae), examples, config, run_dir)
    elif task == "resume":
        run = driver.resume(sharing(vae), run_dir, examples)
    else:
        run = driver.open_run(SYSTEM, run_dir)
    found: RotationRun = run
    return found


def _check_same(run_dir: Path, config: RotationConfig, images: str, examples: Examples) -> None:
    """The run in a folder is the one that is wanted."""
    if driver.configuration_in(SYSTEM, run_dir)[1] != config or not _same_data(run_dir, images):
        _errors.fail_value("--out", f"{run_dir} with the options and data of this sweep", "others; name another")
    record = read_record(run_dir)
    if record is not None:
        check_unchanged(examples.name, run_dir, record["held_out"], describe(examples.test))


def _same_vae(out: Path, config: RotationConfig, images: str) -> Path | None:
    """The VAE of a finished run that began as this one does: with this network, these first weights, these images."""
    for finished in sorted(path.parent for path in out.glob("*/metrics.json")):
        _, other = driver.configuration_in(SYSTEM, finished)
        same = (other.vae, other.vae_train, other.pairs.canvas, other.train.seed, other.train.validation)
        wanted = (config.vae, config.vae_train, config.pairs.canvas, config.train.seed, config.train.validation)
        if config.vae_train is not None and same == wanted and _same_data(finished, images):
            return finished / VAE_FOLDER
    return None


def _same_data(run_dir: Path, images: str) -> bool:
    return bool(read_config(run_dir).get("data") == images)


def _measure(run: RotationRun, test: ImageSet) -> None:
    """Add the run's figures to its `metrics.json`, once."""
    found = run.metrics
    if "test_images" not in found:
        figures = evaluation.figures(evaluation.measure(run, test))
        write_json(run.folder / "metrics.json", {**found, **figures, "test_images": len(test)})


def _about(folder: Path) -> dict[str, object]:
    """What tells the run in `folder` from others."""
    _, config = driver.configuration_in(SYSTEM, folder)
    weights = {f"weight_{term}": weight for term, weight in vars(config.loss).items()}
    names = {"model": config.operator.model, "latents": config.vae.latent, "activation": config.vae.network.activation}
    return {**names, "digits": list(config.digits) or "all", **weights}


def _table(out: Path) -> list[dict[str, object]]:
    """Write `sweep.csv`, and return its rows: the evaluated runs in the folder, by their names."""
    rows: list[dict[str, object]] = []
    for folder in sorted(path.parent for path in out.glob("*/metrics.json")):
        figures = read_json(inside(folder, folder / "metrics.json"))
        if "test_images" in figures:
            rows.append({"run": folder.name, **_about(folder), **figures})
    columns = list(dict.fromkeys(column for row in rows for column in row))
    write_table(out / "sweep.csv", [{column: row.get(column, "") for column in columns} for row in rows])
    return rows
