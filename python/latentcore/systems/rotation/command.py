"""What the command line does with systems that transform latents beside training them."""

from pathlib import Path
from typing import Any

from latentcore import _errors, _settings
from latentcore.data.examples import Examples, Where
from latentcore.systems.rotation import SYSTEM
from latentcore.systems.rotation.config import RotationConfig, RotationOptions
from latentcore.terminal.parsing import Parser, add_reading, folder_name, number_list, word_list
from latentcore.training.config import check_channels
from latentcore.training.system import OpenRun

_MODELS = ("equivariant", "mlp", "step", "recurrent", "transformer")


def check(config: RotationConfig, data: Examples, options: RotationOptions) -> None:
    """Test images and the classifier are such that transformed images can be drawn and judged."""
    from latentcore.systems.rotation.pairs import fitting

    shape = config.vae.image_shape
    check_channels("RotationConfig.vae.image_shape", shape)
    fitting(data.test, config, data.name)
    judge = options.classifier
    if judge is not None and not hasattr(judge, "features"):
        _errors.fail_value("--classifier", "a run of the system 'classifier'", f"one of {judge.system!r}")
    if judge is not None and tuple(judge.model.config.image_shape) != shape:
        _errors.fail_value(
            "--classifier", f"one of images of shape {shape}", f"one of {tuple(judge.model.config.image_shape)}"
        )


def evaluate(run: Any, data: Examples, options: RotationOptions, folder: Path) -> dict[str, float]:
    """Measure how well a run transforms test images, and draw its pictures."""
    from latentcore.evaluate.angles import classifier_accuracy
    from latentcore.systems.rotation import evaluation, pictures
    from latentcore.systems.rotation.pairs import fitting

    test, judge = fitting(data.test, run.config, data.name), options.classifier
    measured = evaluation.measure(run, test, judge)
    found = {**evaluation.figures(measured), "test_images": len(test)}
    if judge is not None and test.labels is not None:
        found["classifier_accuracy"] = classifier_accuracy(judge, evaluation.on_canvas(run, test.images), test.labels)
    pictures.write_pictures(run, test, measured, folder)
    return found


def transform(words: list[str], load_run: OpenRun) -> None:
    """Encode an image, transform its latents, write what they decode to.

    An image of another size than the model's is an error, unless `--fit` resizes it and cuts its centre out.
    """
    parser = Parser(
        "transform",
        SYSTEM.commands["transform"].does,
        "latentcore transform runs/turn digit.png --angle 75 --out turned.png",
        usage="transform RUN IMAGE --out FILE [options]",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a run of `latentcore train rotation`")
    parser.add_argument("image", type=Path, metavar="IMAGE", help="PNG, JPEG, WebP or BMP: light on dark, as MNIST")
    parser.add_argument("--angle", type=float, default=0.0, help="degrees, counter-clockwise")
    parser.add_argument("--scale", type=float, default=1.0, help="magnification")
    parser.add_argument(
        "--translate", type=float, nargs=2, default=(0.0, 0.0), metavar=("RIGHT", "DOWN"), help="pixels"
    )
    add_reading(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture to write")
    told = parser.told(words)
    _transform(load_run(told.pop("run")), **told)


def _transform(
    run: Any,
    *,
    image: Path,
    angle: float,
    scale: float,
    translate: tuple[float, float],
    invert: bool,
    fit: bool,
    out: Path,
) -> None:
    from latentcore.data import read_image
    from latentcore.plots import save_image
    from latentcore.systems.rotation import evaluation
    from latentcore.systems.rotation.run import RotationRun

    if not isinstance(run, RotationRun):
        raise ValueError(f"{run.folder}: expected a run of the system 'rotation', got one of {run.system!r}")
    pixels = read_image(image, _image_shape(run), fit=fit).unsqueeze(0)
    pixels = evaluation.on_canvas(run, 255 - pixels if invert else pixels)
    z = run.transform(run.encode(pixels), angle, scale=scale, translate=(translate[0], translate[1]))
    save_image(run.decode(z)[0], out)
    print(f"{out}: {image.name}, angle {angle:g}, scale {scale:g}, translation {translate[0]:g},{translate[1]:g}")


def _image_shape(run: Any) -> tuple[int, int, int]:
    """Of the images that the run has learned, before they came on a canvas."""
    name, source = str(run.folder / "config.json"), run.about.get("source", {})
    if not isinstance(source, dict):
        _errors.fail_value(f"{name}: source", "an object", type(source).__name__)
    shape = source.get("image_shape", run.config.vae.image_shape)
    if not (isinstance(shape, list | tuple) and len(shape) == 3 and all(isinstance(side, int) for side in shape)):
        _errors.fail_value(f"{name}: source.image_shape", "three whole numbers", repr(shape))
    return shape[0], shape[1], shape[2]


def sweep(words: list[str], load_run: OpenRun) -> None:
    """Train and evaluate many variants, as one table."""
    parser = _sweep_parser()
    if words[:1] in (["-h"], ["--help"]):
        parser.told(words)
    if words[:1] != ["rotation"]:
        parser.error(f"SYSTEM: expected rotation as the first word, got {words[0] if words else 'none'}")
    told = parser.told(words[1:])

    from latentcore.systems.rotation import sweep as sweeping

    base = SYSTEM.named(told["preset"])
    fixed = {"digits": told["digits"], "train.seed": told["seed"], "train.epochs": told["epochs"]}
    if base.vae_train is not None:
        fixed["vae_train.seed"] = told["seed"]
    base = _settings.changed(base, {path: value for path, value in fixed.items() if value is not None})
    kind, where = SYSTEM.part("data"), Where((*told["data"], *(told["more_data"] or ())), tuple(told["test"]))
    examples = kind.opened(where, base)
    base = base.for_shape(kind.shape(examples))
    variants = sweeping.variants(base, told["latents"], told["activations"], told["models"], told["losses"])
    sweeping.sweep(examples, variants, told["out"])


def _sweep_parser() -> Parser:
    parser = Parser(
        "sweep rotation",
        "latent sizes, activations, losses and models of the system rotation, as one table",
        "latentcore sweep rotation mnist --latents 2,8,32 --models mlp,equivariant --out runs/sweep",
        usage="sweep rotation [DATA ...] --out DIR [options]",
    )
    presets = ", ".join(SYSTEM.presets)
    parser.add_argument("data", nargs="*", metavar="DATA", help="where the data lie (what LATENTCORE_DATA names)")
    parser.add_argument("--data", dest="more_data", action="append", metavar="DATA", help="the same")
    parser.add_argument("--test", nargs="+", default=(), metavar="DATA", help="other data, to judge by")
    parser.add_argument("--preset", metavar="NAME", help=f"what all begin with: {presets} (rotation)")
    parser.add_argument("--digits", metavar="1,2", help="the classes to learn (the preset's)")
    parser.add_argument("--seed", metavar="N", help="of weights and of all that is drawn (0)")
    parser.add_argument("--latents", type=number_list, default=(32,), metavar="2,8,32", help="latent sizes (32)")
    parser.add_argument("--activations", type=word_list, default=("relu",), metavar="relu,silu", help="(relu)")
    parser.add_argument("--models", type=word_list, default=_MODELS, metavar="equivariant,mlp", help="(all)")
    parser.add_argument(
        "--losses", nargs="+", default=("image",), metavar="WEIGHTS", help="image latent=1,cosine=1 (image)"
    )
    parser.add_argument("--epochs", metavar="N", help="of the last phase of each run (the preset's)")
    parser.add_argument(
        "--out", type=folder_name, required=True, metavar="DIR", help="the folder; goes on where it stopped"
    )
    return parser
