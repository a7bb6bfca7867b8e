"""`latentcore train photographs`, and the evaluation of its runs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore._files import printable, read_json, replacing
from latentcore.commands.inputs import check_alone
from latentcore.commands.outputs import place_of
from latentcore.commands.photograph_files import divided, judged_by, judged_by_before, record_of, resumed
from latentcore.data import ImageFolder
from latentcore.data.folders import Found, check_room, common_white
from latentcore.evaluate import photographs as evaluation
from latentcore.terminal.tables import finish
from latentcore.training.photographs import PhotographsConfig, PhotographsRun, resume_photographs, train_photographs
from latentcore.training.presets import PHOTOGRAPHS
from latentcore.training.systems import configuration_of

_SHOWN = 5  # lines of what is left out
_CACHE = 4096.0  # megabytes that all photographs may take in memory


def train(
    *,
    folders: Sequence[Path],
    test: Sequence[Path] | None,
    preset: str | None,
    config: Path | None,
    size: int | None,
    latent: int | None,
    perceptual: str | None,
    cache: float | None,
    cache_dir: Path | None,
    epochs: int | None,
    seed: int | None,
    resume: Path | None,
    run_dir: Path | None,
) -> None:
    """Train a VAE on the photographs of folders, evaluate it on others and draw its pictures."""
    if resume is not None:
        given = {"preset": preset, "config": config, "size": size, "latent": latent, "perceptual": perceptual}
        check_alone({**given, "epochs": epochs, "seed": seed, "run_dir": run_dir})
        chosen = configuration_of(resume / "config.json", PhotographsConfig)
        folders, test = _places(resume, folders, test)
    else:
        chosen = _configured(preset, config, size=size, latent=latent, perceptual=perceptual, epochs=epochs, seed=seed)
    if not folders:
        raise ValueError("FOLDER: expected at least one folder of photographs, got none")
    files = None if resume is None else resumed(resume, folders, test)
    files = files or divided(folders, test)
    shape = chosen.vae.image_shape
    if cache_dir is None:
        count = len(files.learned.files) + len(files.held_out.files)
        check_room(count, shape, _CACHE if cache is None else cache)
    white = common_white([*files.learned.files, *files.held_out.files]) if files.white is None else files.white
    learned = _read(files.learned, "to learn from", shape, cache_dir, white)
    others = _read_to_judge(files.held_out, shape, cache_dir, white)
    if resume is not None:
        run = resume_photographs(resume, learned, shown=others)
    else:
        record = record_of(folders, test, learned.paths, others.paths, white)
        source = {name: record[name] for name in ("folders", "test") if record[name]}
        run = train_photographs(learned, chosen, run_dir, shown=others, source=source, held_out=record)
        _note_left_out(run.folder, [*learned.left_out, *others.left_out])
    report(run, others)


def report(run: PhotographsRun, test: ImageFolder, out: Path | None = None) -> None:
    """Evaluate a run on photographs that it has not seen, and draw its pictures."""
    pictures = evaluation.write_pictures(run, test.images, test.paths, out=out)
    finish(run, evaluation.figures(run, test.images), out)
    print(f"pictures     {', '.join(path.name for path in pictures)}")


def report_on(
    run: PhotographsRun, folders: Sequence[Path] | None, test: Sequence[Path] | None, out: Path | None
) -> None:
    """Evaluate a run on the photographs that the options lead to: `test`, or those that its training kept back."""
    files = judged_by(run.folder, folders or (), test)
    if files is None:
        known_folders, known_test = _places(run.folder, folders, test)
        if not known_folders and not known_test:
            raise ValueError(f"--files: expected the folders of photographs of {run.folder}, got none")
        files = judged_by_before(run.folder, known_folders, known_test, known=not test)
    place = place_of(run.folder, out, files.own, files.name, files.word)
    report(run, _read_to_judge(files.held_out, run.model.config.image_shape, None, files.white), place)


def _places(
    run: Path, folders: Sequence[Path] | None, test: Sequence[Path] | None
) -> tuple[Sequence[Path], Sequence[Path] | None]:
    """What the options name, or else what the run remembers of where its photographs lie."""
    path = run / "config.json"
    source = read_json(path).get("source", {})
    places = [source.get(name) or [] for name in ("folders", "test")] if isinstance(source, dict) else [source]
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in places):
        raise ValueError(f"{path}: source: expected lists of folders, got {source!r}")
    known, known_test = ([Path(name) for name in names] for names in places)
    return folders or known, test or known_test or None


def _read_to_judge(found: Found, shape: tuple[int, int, int], cache_dir: Path | None, white: int | None) -> ImageFolder:
    read = _read(found, "to judge by", shape, cache_dir, white)
    if len(read) < 2:
        raise ValueError(f"{found.files[0]}: expected at least 2 photographs to judge by, got {len(read)}")
    return read


def _read(
    found: Found, purpose: str, shape: tuple[int, int, int], cache_dir: Path | None, white: int | None
) -> ImageFolder:
    # there is room for both, or a file for them
    read = ImageFolder(found.files, shape, cache=math.inf, cache_dir=cache_dir, white=white)
    read.left_out += map(printable, found.left_out)
    print(f"{len(read):,} photographs {purpose}" + (f", {len(read.left_out):,} left out" if read.left_out else ""))
    for line in read.left_out[:_SHOWN]:
        print(f"  {line}")
    if len(read.left_out) > _SHOWN:
        print(f"  and {len(read.left_out) - _SHOWN:,} more")
    return read


def _configured(
    preset: str | None,
    config: Path | None,
    *,
    size: int | None,
    latent: int | None,
    perceptual: str | None,
    **more: Any,
) -> PhotographsConfig:
    """The configuration that the options describe."""
    if preset is not None and config is not None:
        raise ValueError("--config: expected no --preset beside it")
    chosen = configuration_of(config, PhotographsConfig) if config else PHOTOGRAPHS[preset or "photographs"]
    vae, term = chosen.vae, chosen.perceptual
    if size is not None:
        vae = replace(vae, image_shape=(vae.image_shape[0], size, size))
    if latent is not None:
        vae = replace(vae, latent=latent)
    if perceptual is not None:
        term = replace(term, kind=perceptual)  # type: ignore[arg-type]  # the parser lets only such words pass
    given = {name: value for name, value in more.items() if value is not None}
    return replace(chosen, vae=vae, perceptual=term, train=replace(chosen.train, **given))


def _note_left_out(folder: Path, lines: Sequence[str]) -> None:
    with replacing(folder / "left_out.txt") as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines))
