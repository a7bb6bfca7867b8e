"""`latentcore sweep rotation`: many variants of the system, as one table."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path

from latentcore.commands.inputs import data_folder
from latentcore.commands.rotation import begin, configured, digits_of
from latentcore.commands.tables import show_rows
from latentcore.evaluate import rotation as evaluation
from latentcore.evaluate.pictures import write_table
from latentcore.train.rotation import RotationConfig, RotationRun, resume_rotation
from latentcore.train.runs import read_json, write_json
from latentcore.train.systems import configured as settings_of

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

    A combination's run is `out/<model>-<latent>-<activation>-<loss>`. Interrupted, the sweep goes on where it stopped:
    in the middle of a run. Runs with the same VAE to begin with train it once.
    """
    folder = data_folder(data)
    fixed = {"preset": preset, "digits": digits, "seed": seed, "epochs": epochs}
    variants = {}
    for latent, activation, loss, model in product(latents, activations, losses, models):
        name = f"{model}-{latent}-{activation}-{loss}"
        variants[name] = configured(model=model, latent=latent, activation=activation, loss=loss, **fixed)  # type: ignore[arg-type]
    rows: list[dict[str, object]] = []
    for name, (config, chosen) in variants.items():
        run = _trained(out / name, config, chosen, folder)
        rows.append({"run": name, **_measured(run, folder, chosen)})
        columns = list(dict.fromkeys(column for row in rows for column in row))
        write_table(out / "sweep.csv", [{column: row.get(column, "") for column in columns} for row in rows])
        show_rows(f"{len(rows)} of {len(variants)} runs", ("run", *_SHOWN), rows)
    print(f"\ntable   {out / 'sweep.csv'}")


def _trained(run_dir: Path, config: RotationConfig, digits: Sequence[int], folder: Path) -> RotationRun:
    """The run in `run_dir`, which is opened, continued or begun."""
    images = digits_of(folder, "train", digits)
    if not (run_dir / "config.json").exists():
        return begin(images, config, digits, run_dir, _same_vae(run_dir.parent, config))
    if settings_of(run_dir, "rotation", RotationConfig) != config:
        raise ValueError(f"--out: expected {run_dir} with the options of this sweep, got others; name another folder")
    if (run_dir / "metrics.json").exists():
        return RotationRun.open(run_dir, read_json(run_dir / "config.json"))
    return resume_rotation(run_dir, images.images, labels=images.labels)


def _same_vae(out: Path, config: RotationConfig) -> Path | None:
    """The VAE of a finished run that began as this one does."""
    for finished in sorted(out.glob("*/metrics.json")):
        other = settings_of(finished.parent, "rotation", RotationConfig)
        same = (other.vae, other.vae_train, other.pairs) == (config.vae, config.vae_train, config.pairs)
        if same and other.train.seed == config.train.seed and config.vae_train is not None:
            return finished.parent / "vae"
    return None


def _measured(run: RotationRun, folder: Path, digits: Sequence[int]) -> dict[str, float]:
    """The run's figures, which are measured once."""
    found = run.metrics
    if "psnr_mean" not in found:
        found |= evaluation.figures(evaluation.measure(run, digits_of(folder, "test", digits)))
        write_json(run.folder / "metrics.json", found)
    return found
