"""`latentcore sweep rotation`: many variants of the system, as one table."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from latentcore._files import inside, read_config, read_json, write_json
from latentcore.commands.held_out import check_own, record_of_test
from latentcore.commands.inputs import data_folder
from latentcore.commands.rotation import begin, configured, digits_in, parts_of
from latentcore.data import ImageSet
from latentcore.data.hashes import fingerprint
from latentcore.evaluate import rotation as evaluation
from latentcore.evaluate.pictures import write_table
from latentcore.terminal.tables import show_rows
from latentcore.training.rotation import RotationConfig, RotationRun, resume_rotation
from latentcore.training.systems import configured as settings_of

_SHOWN = (
    "psnr_mean",
    "psnr_gap_worst",
    "psnr_composed_worst",
    "psnr_gap_unseen",
    "ssim_worst",
    "parameters",
    "seconds",
)


def sweep(
    *,
    data: Path | None,
    out: Path,
    preset: str | None,
    digits: Sequence[int] | None,
    latents: Sequence[int],
    activations: Sequence[str],
    models: Sequence[str],
    losses: Sequence[str],
    seed: int | None,
    epochs: int | None,
) -> None:
    """Train and evaluate every combination that is not done yet; `out/sweep.csv` has a row for each that is.

    A combination's run is `out/<model>-<latent>-<activation>-<loss>`. Interrupted, the sweep goes on where it stopped,
    in the middle of a run; later sweeps into the same folder add rows. Runs with the same VAE to begin with train it
    once.
    """
    folder = data_folder(data)
    fixed = {"preset": preset, "digits": digits, "seed": seed, "epochs": epochs}
    variants = {}
    for latent, activation, loss, model in product(latents, activations, losses, models):
        name = f"{model}-{latent}-{activation}-{loss}"
        variants[name] = configured(model=model, latent=latent, activation=activation, loss=loss, **fixed)  # type: ignore[arg-type]
    try:
        for name, (config, chosen) in variants.items():
            images, test = parts_of(folder, chosen)
            _measure(_trained(out / name, config, images, chosen, record_of_test(folder, test)), test)
            rows = _table(out)
            show_rows(f"{len(rows)} runs", ("run", *_SHOWN), rows)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on where it stopped") from None
    print(f"\ntable   {out / 'sweep.csv'}")


def _trained(
    run_dir: Path, config: RotationConfig, images: ImageSet, digits: Sequence[int], record: Mapping[str, Any]
) -> RotationRun:
    """The run in `run_dir`, which is opened, continued or begun."""
    if not (run_dir / "config.json").exists():
        return begin(images, config, digits, run_dir, _same_vae(run_dir.parent, config, images), record=record)
    if settings_of(run_dir, "rotation", RotationConfig) != config or not _same_data(run_dir, images):
        raise ValueError(f"--out: expected {run_dir} with the options and data of this sweep, got others; name another")
    check_own(run_dir, record)
    if (run_dir / "metrics.json").exists():
        return RotationRun.open(run_dir, read_config(run_dir))
    return resume_rotation(run_dir, images.images, labels=images.labels)


def _same_vae(out: Path, config: RotationConfig, images: ImageSet) -> Path | None:
    """The VAE of a finished run that began as this one does: with this network, these first weights, these images."""
    for finished in sorted(path.parent for path in out.glob("*/metrics.json")):
        other = settings_of(finished, "rotation", RotationConfig)
        same = (other.vae, other.vae_train, other.pairs.canvas, other.train.seed)
        wanted = (config.vae, config.vae_train, config.pairs.canvas, config.train.seed)
        if config.vae_train is not None and same == wanted and _same_data(finished, images):
            return finished / "vae"
    return None


def _same_data(run_dir: Path, images: ImageSet) -> bool:
    known = (images.images, images.known_labels())
    return bool(read_config(run_dir).get("data") == fingerprint(*known))


def _measure(run: RotationRun, test: ImageSet) -> None:
    """Add the run's figures to its `metrics.json`, once."""
    found = run.metrics
    if "test_images" not in found:
        figures = evaluation.figures(evaluation.measure(run, test))
        write_json(run.folder / "metrics.json", {**found, **figures, "test_images": len(test)})


def _about(folder: Path) -> dict[str, object]:
    """What tells the run in `folder` from others."""
    config = settings_of(folder, "rotation", RotationConfig)
    weights = {f"weight_{term}": weight for term, weight in vars(config.loss).items()}
    names = {"model": config.operator.model, "latents": config.vae.latent, "activation": config.vae.activation}
    return {**names, "digits": list(digits_in(folder)), **weights}


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
