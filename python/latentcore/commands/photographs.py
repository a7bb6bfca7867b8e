"""`latentcore train photographs`, and the evaluation of its runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore._files import replacing
from latentcore.commands.inputs import check_alone
from latentcore.commands.tables import finish
from latentcore.data import ImageFolder
from latentcore.data.folders import find_images
from latentcore.data.sets import divide_files
from latentcore.evaluate import photographs as evaluation
from latentcore.train.photographs import PhotographsConfig, PhotographsRun, resume_photographs, train_photographs
from latentcore.train.presets import PHOTOGRAPHS
from latentcore.train.runs import read_json
from latentcore.train.systems import configuration_of

_SHOWN = 5  # lines of what is left out


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
        known = read_json(resume / "config.json").get("source", {})
        folders = folders or [Path(path) for path in known.get("folders", ())]
        test = test or [Path(path) for path in known.get("test") or ()] or None
    else:
        chosen = _configured(preset, config, size=size, latent=latent, perceptual=perceptual, epochs=epochs, seed=seed)
    if not folders:
        raise ValueError("FOLDER: expected at least one folder of photographs, got none")
    photographs = _Photographs(folders, test, chosen.vae.image_shape, cache, cache_dir)
    learned, others = photographs.train(), photographs.test()
    if resume is not None:
        run = resume_photographs(resume, learned, shown=others)
    else:
        run = train_photographs(learned, chosen, run_dir, shown=others, source=photographs.source)
    _note_left_out(run.folder, [*learned.left_out, *others.left_out])
    report(run, others)


def report(run: PhotographsRun, test: ImageFolder) -> None:
    """Evaluate a run on photographs that it has not seen, and draw its pictures."""
    pictures = evaluation.write_pictures(run, test.images, test.paths)
    finish(run, evaluation.figures(run, test.images))
    print(f"pictures     {', '.join(path.name for path in pictures)}")


def report_on(run: PhotographsRun, folders: Sequence[Path] | None, test: Sequence[Path] | None) -> None:
    """Evaluate a run on the photographs that the options lead to: `test`, or those that its training kept back."""
    source = run.config.get("source", {})
    folders = folders or [Path(path) for path in source.get("folders", ())]
    test = test or [Path(path) for path in source.get("test") or ()] or None
    if not folders and not test:
        raise ValueError(f"--files: expected the folders of photographs of {run.folder}, got none")
    report(run, _Photographs(folders, test, run.model.config.image_shape, None, None).test())


class _Photographs:
    """The photographs to learn from, and those to judge by; decoded only where they are asked for."""

    def __init__(
        self,
        folders: Sequence[Path],
        test: Sequence[Path] | None,
        shape: tuple[int, int, int],
        cache: float | None,
        cache_dir: Path | None,
    ) -> None:
        self.source = {"folders": [str(path.resolve()) for path in folders]}
        if test:
            self.source["test"] = [str(path.resolve()) for path in test]
        self._folders, self._test, self._shape = folders, test, shape
        self._options: dict[str, Any] = {"cache_dir": cache_dir}
        if cache is not None:
            self._options["cache"] = cache

    def train(self) -> ImageFolder:
        """Those to learn from."""
        found = find_images(self._folders)
        files = found.files if self._test else divide_files(found.files)[0]
        return self._read(files, found.left_out, "to learn from")

    def test(self) -> ImageFolder:
        """Those to judge by."""
        found = find_images(self._test or self._folders)
        files = found.files if self._test else divide_files(found.files)[1]
        read = self._read(files, found.left_out if self._test else [], "to judge by")
        if len(read) < 2:
            raise ValueError(f"{files[0]}: expected at least 2 photographs to judge by, got {len(read)}")
        return read

    def _read(self, files: Sequence[Path], not_entered: Sequence[str], purpose: str) -> ImageFolder:
        read = ImageFolder(files, self._shape, **self._options)
        read.left_out += not_entered
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
