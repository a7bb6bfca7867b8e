"""`latentcore train photographs`, and the evaluation of its runs."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from latentcore._files import printable, replacing
from latentcore.commands.inputs import check_alone
from latentcore.commands.tables import finish
from latentcore.data import ImageFolder
from latentcore.data.folders import Found, check_room, find_images
from latentcore.data.sets import divide_files
from latentcore.evaluate import photographs as evaluation
from latentcore.train.photographs import PhotographsConfig, PhotographsRun, resume_photographs, train_photographs
from latentcore.train.presets import PHOTOGRAPHS
from latentcore.train.runs import read_json
from latentcore.train.systems import configuration_of

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
    photographs = _Photographs(folders, test, chosen.vae.image_shape, cache_dir)
    if cache_dir is None:
        photographs.check_room(_CACHE if cache is None else cache)
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
    folders, test = _places(run.folder, folders, test)
    if not folders and not test:
        raise ValueError(f"--files: expected the folders of photographs of {run.folder}, got none")
    # beside photographs to judge by, those that were learned from need not be there any more
    report(run, _Photographs([] if test else folders, test, run.model.config.image_shape, None).test())


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


class _Photographs:
    """The photographs to learn from, and those to judge by; decoded only where they are asked for."""

    def __init__(
        self,
        folders: Sequence[Path],
        test: Sequence[Path] | None,
        shape: tuple[int, int, int],
        cache_dir: Path | None,
    ) -> None:
        self.source = {"folders": [str(path.resolve()) for path in folders]}
        if test:
            self.source["test"] = [str(path.resolve()) for path in test]
        self._shape, self._cache_dir = shape, cache_dir
        # listed once, so that no file that comes meanwhile moves another one to the other side
        self._learned = find_images(folders) if folders else Found([], [])
        if test:
            self._others = find_images(test)
            judged = {path.absolute() for path in self._others.files}
            files = [path for path in self._learned.files if path.absolute() not in judged]
            if folders and not files:
                raise ValueError("--test: expected other photographs than those to learn from, got all of them")
        else:
            files, judged_by = divide_files(self._learned.files)
            self._others = Found(judged_by, [])
        self._learned = Found(files, self._learned.left_out)

    def check_room(self, cache: float) -> None:
        """Both take no more than `cache` megabytes."""
        check_room(len(self._learned.files) + len(self._others.files), self._shape, cache)

    def train(self) -> ImageFolder:
        """Those to learn from."""
        return self._read(self._learned, "to learn from")

    def test(self) -> ImageFolder:
        """Those to judge by."""
        read = self._read(self._others, "to judge by")
        if len(read) < 2:
            where = self._others.files[0]
            raise ValueError(f"{where}: expected at least 2 photographs to judge by, got {len(read)}")
        return read

    def _read(self, found: Found, purpose: str) -> ImageFolder:
        # there is room for both, or a file for them
        read = ImageFolder(found.files, self._shape, cache=math.inf, cache_dir=self._cache_dir)
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
