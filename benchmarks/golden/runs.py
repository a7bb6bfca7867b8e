"""The golden runs, as words of the command line. All paths are relative to the folder in which they work."""

from dataclasses import dataclass, field
from typing import Any

Words = tuple[str, ...]

# where each system finds what it learns from; `child.prepare` makes them
_DIGITS = ("--data", "digits")
_DATA: dict[str, Words] = {"egamma": ("events.h5",), "photographs": ("photographs",)}

_PERCEPTRONS = ("vae-2d", "vae-2d-deep", "vae-10", "vae-20", "beta-vae", "cvae", "ae-2d", "ae-20", "denoising")
_LARGER = ("conv-vae-32", "residual-vae-32", "attention")
_ROTATIONS = ("frozen", "study", "held-out", "never-turned", "scale-translate")
_OPERATORS = ("step", "recurrent", "transformer")  # those of the presets are equivariant or an MLP
_EVENTS = ("--preset", "small", "--epochs", "3")
_PHOTOGRAPHS = ("--set", "vae.image_shape=3,32,32", "--latent", "8", "--epochs", "3")

# 640 digits in batches of 128 are five steps an epoch: of 560 all but the first are recorded or replayed. In batches of
# 16, fourteen epochs are as many, with checkpoints within them.
_LONG = ("--preset", "vae-2d", "--epochs", "112")
_PARTS = {"batch_size": 16, "epochs": 14, "checkpoint_every": 15}
# what no preset asks for
_ADDED = {"epochs": 3, "accumulate": 2, "ema": 0.9, "gradient_clip": 1.0, "schedule": "cosine"}


@dataclass(frozen=True)
class Golden:
    """One run, and what is asked of it.

    Attributes:
        name: System and what is special. The run's folder is `runs/<name>`, what else is written lies in `out/<name>`.
        commands: Words behind `latentcore`, one command after the other in one process.
        begun: A training that is interrupted as it writes its third checkpoint, in a process of its own, before that.
        needs: Names of runs that must be there.
        sixteen_bits: Whether precision "auto" is bf16-mixed; otherwise it is 32-true, whatever the processor prefers.
        settings: How `vae-2d` is trained otherwise, in a configuration that is written before, `<name>.json`.
    """

    name: str
    commands: tuple[Words, ...]
    begun: Words = ()
    needs: tuple[str, ...] = ()
    sixteen_bits: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


def _trained(name: str, *words: str, judged: Words = (), more: tuple[Words, ...] = (), **others: Any) -> Golden:
    """A run that is trained, and evaluated once more from its folder; `judged` are words for both."""
    return Golden(name, (_train(name, *words, *judged), _evaluate(name, *judged), *more), **others)


def _resumed(name: str, *words: str, **others: Any) -> Golden:
    """A run that is interrupted, and resumed in another process."""
    system = name.split("/")[0]
    resume = ("train", system, "--resume", f"runs/{name}", *(() if system in _DATA else _DIGITS))
    return Golden(name, (resume, _evaluate(name)), begun=_train(name, *words), **others)


def _train(name: str, *words: str) -> Words:
    system = name.split("/")[0]
    return ("train", system, *_DATA.get(system, _DIGITS), *words, "--run-dir", f"runs/{name}")


def _evaluate(name: str, *words: str) -> Words:
    data = () if name.split("/")[0] in _DATA else _DIGITS
    return ("evaluate", f"runs/{name}", *data, *words, "--out", f"out/{name}/evaluated")


def _autoencoders() -> list[Golden]:
    in_parts, added = "autoencoder/in-parts", "autoencoder/added"
    return [
        *(_trained(f"autoencoder/{name}", "--preset", name, "--epochs", "4") for name in _PERCEPTRONS),
        *(_trained(f"autoencoder/{name}", "--preset", name, "--epochs", "2") for name in _LARGER),
        _trained("autoencoder/long", *_LONG),
        _resumed(in_parts, "--config", f"{in_parts}.json", settings=_PARTS),
        _trained(added, "--config", f"{added}.json", settings=_ADDED),
        _trained("autoencoder/sixteen-bits", "--preset", "conv-vae-32", "--epochs", "2", sixteen_bits=True),
    ]


def _rotations() -> list[Golden]:
    name, judged = "rotation/rotation", ("--classifier", "runs/classifier/rotated")
    turned = ("transform", f"runs/{name}", "digit-0.png", "--angle", "75", "--out", f"out/{name}/turned.png")
    return [
        _trained(name, "--epochs", "2", judged=judged, more=(turned,), needs=("classifier/rotated",)),
        *(_trained(f"rotation/{preset}", "--preset", preset, "--epochs", "2") for preset in _ROTATIONS),
        *(_trained(f"rotation/{model}", "--model", model, "--epochs", "1") for model in _OPERATORS),
        _resumed("rotation/resumed", "--preset", "study", "--epochs", "2"),
    ]


def _gans() -> list[Golden]:
    judge, other = "classifier/upright", "autoencoder/conv-vae-32"
    judged = ("--classifier", f"runs/{judge}", "--beside", f"runs/{other}")
    return [
        _trained("gan/digits", "--epochs", "4", judged=judged, needs=(judge, other)),
        _trained("gan/sixteen-bits", "--epochs", "1", sixteen_bits=True),
        _resumed("gan/resumed", "--epochs", "4"),
    ]


def _of_labels() -> list[Golden]:
    return [
        _trained("classifier/upright", "--preset", "upright", "--epochs", "2"),
        _trained("classifier/rotated", "--epochs", "2"),
        _resumed("classifier/resumed", "--preset", "upright", "--epochs", "4"),
        _trained("few-label/digits148", "--epochs", "6"),
        _trained("few-label/plain", "--preset", "plain", "--epochs", "6"),
        _resumed("few-label/resumed", "--epochs", "6"),
    ]


def _of_files() -> list[Golden]:
    predicted = ("predict", "runs/egamma/small", "events.h5", "--out", "out/egamma/small/predicted.csv")
    return [
        _trained("egamma/egamma", "--width", "0.25", "--epochs", "2"),
        _trained("egamma/small", *_EVENTS, more=(predicted,)),
        _trained("egamma/streamed", *_EVENTS, "--storage", "streamed"),
        _trained("egamma/sixteen-bits", *_EVENTS, sixteen_bits=True),
        _resumed("egamma/resumed", *_EVENTS),
        _trained("photographs/photographs", *_PHOTOGRAPHS),
        _trained("photographs/patches", "--preset", "patches", *_PHOTOGRAPHS),
        _trained("photographs/perceptual", *_PHOTOGRAPHS, "--perceptual", "ms-ssim"),
        _resumed("photographs/resumed", *_PHOTOGRAPHS),
    ]


def _commands() -> list[Golden]:
    """What is asked of several runs, or of none."""
    needs = ("autoencoder/vae-2d", "autoencoder/cvae", "autoencoder/ae-20")
    runs, out = [f"runs/{name}" for name in needs], "out/commands"
    swept = ("--preset", "study", "--epochs", "1", "--latents", "4", "--models", "mlp,equivariant")
    return [
        Golden("commands/compare", (("compare", *runs, *_DIGITS, "--out", f"{out}/compare"),), needs=needs),
        Golden(
            "commands/interpolate",
            (("interpolate", runs[0], "digit-0.png", "digit-1.png", "--out", f"{out}/interpolate/way.png"),),
            needs=needs[:1],
        ),
        Golden(
            "commands/sweep",
            (("sweep", "rotation", *_DIGITS, *swept, "--losses", "image", "latent=1", "--out", f"{out}/sweep"),),
        ),
        Golden(
            "commands/data",
            (
                ("data", "export", *_DIGITS, "--out", f"{out}/data"),
                ("data", "inspect", "events.h5", "--picture", f"{out}/data/events.png"),
                ("data", "simulate", "--events", "20", "--seed", "3", "--out", f"{out}/data/events.h5"),
            ),
        ),
    ]


RUNS = {run.name: run for run in [*_of_labels(), *_of_files(), *_autoencoders(), *_rotations(), *_gans(), *_commands()]}
