"""What can be written on the command line. Nothing heavy is imported here, so that help comes at once."""

import argparse
from importlib.metadata import version
from pathlib import Path
from typing import Any

from latentcore.commands.arguments import (
    add_beside,
    add_channels_last,
    add_choice,
    add_command,
    add_data_folder,
    add_images,
    add_labels,
    add_reading,
    add_rotation,
    add_run_dir,
    add_seed,
    add_training,
    folder_name,
    number_list,
    positive,
    whole,
    word_list,
)

_MODELS = ("equivariant", "mlp", "step", "recurrent", "transformer")
_AUTOENCODERS = (
    "ae-2d",
    "vae-2d",
    "vae-2d-deep",
    "ae-20",
    "vae-20",
    "vae-10",
    "beta-vae",
    "cvae",
    "denoising",
    "conv-vae-32",
    "residual-vae-32",
    "attention",
)
_ACTIVATIONS = ("relu", "leaky_relu", "elu", "silu", "gelu", "tanh")


def parser() -> argparse.ArgumentParser:
    """The parser; each command's `handler` is (module of `latentcore.commands`, function), called with its options."""
    top = argparse.ArgumentParser(
        prog="latentcore", description="Fused kernels for latent-variable models, and the programs that stand on them."
    )
    top.add_argument("--version", action="version", version=version("latentcore"))
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    add_command(commands, "info", "versions, native libraries, SIMD level, threads and devices", ("info", "info"))
    demo = add_command(
        commands, "demo", "train, cluster, classify and rotate the digits that come with the package", ("demo", "demo")
    )
    add_run_dir(demo)
    add_seed(demo)
    _add_train(commands.add_parser("train", help="train a system"))
    _add_evaluate(commands)
    _add_predict(commands)
    compare = add_command(commands, "compare", "autoencoders and VAEs side by side", ("autoencoder", "compare"))
    compare.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    add_images(compare)
    compare.add_argument("--out", type=folder_name, default=Path("comparison"), metavar="DIR", help="(%(default)s)")
    report = add_command(commands, "report", "one page that shows runs, with a latent explorer", ("report", "report"))
    report.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folders")
    report.add_argument(
        "--out", type=Path, default=Path("report.html"), metavar="FILE", help="the page to write (%(default)s)"
    )
    config = add_command(
        commands, "config", "a preset of `train autoencoder` as a file to change", ("autoencoder", "config")
    )
    config.add_argument("preset", choices=_AUTOENCODERS, metavar="PRESET", help=", ".join(_AUTOENCODERS))
    config.add_argument("--out", type=Path, required=True, metavar="FILE", help="the JSON file to write")
    _add_transform(commands)
    _add_interpolate(commands)
    _add_sweep(commands.add_parser("sweep", help="train many variants of a system, as one table"))
    _add_data(commands.add_parser("data", help="get and convert data"))
    return top


def _add_train(parser: argparse.ArgumentParser) -> None:
    systems = parser.add_subparsers(required=True, metavar="SYSTEM")
    few_label = add_command(
        systems, "few-label", "a VAE, a mixture in its latent plane, a few labels to read it", ("few_label", "train")
    )
    add_labels(few_label)
    few_label.add_argument("--preset", choices=("digits148", "plain"), help="configuration (digits148)")
    rotation = add_command(
        systems, "rotation", "a VAE, and what a rotation of an image does to its latents", ("rotation", "train")
    )
    add_rotation(rotation)
    add_choice(rotation, "--model", _MODELS, "the preset's")
    rotation.add_argument("--latent", type=positive, metavar="N", help="number of latent axes (the preset's)")
    rotation.add_argument(
        "--activation", choices=_ACTIVATIONS, metavar="NAME", help=f"{', '.join(_ACTIVATIONS)} (the preset's)"
    )
    rotation.add_argument("--loss", metavar="WEIGHTS", help="for example image=1,latent=0.1,cosine=0 (the preset's)")
    rotation.add_argument("--config", type=Path, metavar="FILE", help="a run's config.json, instead of a preset")
    rotation.add_argument("--classifier", type=Path, metavar="RUN", help="says whether digits stay what they are")
    classifier = add_command(systems, "classifier", "a ResNet-15 for digits at any angle", ("classifier", "train"))
    classifier.add_argument("--upright", action="store_const", const=True, help="digits as they are, not turned")
    autoencoder = add_command(
        systems, "autoencoder", "an autoencoder or a VAE of one of many kinds", ("autoencoder", "train")
    )
    add_choice(autoencoder, "--preset", _AUTOENCODERS, "vae-2d")
    autoencoder.add_argument(
        "--config", type=Path, metavar="FILE", help="of `latentcore config`, or a run's config.json"
    )
    add_images(autoencoder)
    add_seed(autoencoder)
    add_training(autoencoder)
    gan = add_command(systems, "gan", "a generator of images, and a discriminator that it deceives", ("gan", "train"))
    add_choice(gan, "--preset", ("digits",), "digits")
    gan.add_argument("--config", type=Path, metavar="FILE", help="a run's config.json, instead of a preset")
    gan.add_argument("--classifier", type=Path, metavar="RUN", help="in whose features samples are compared")
    add_beside(gan)
    add_images(gan)
    add_seed(gan)
    add_training(gan)
    _add_photographs(add_command(systems, "photographs", "a VAE of one's own photographs", ("photographs", "train")))
    _add_egamma(
        add_command(systems, "egamma", "a ResNet-15 for electrons and photons in HDF5 files", ("egamma", "train"))
    )
    for system in (few_label, rotation, classifier):
        if system is not few_label:
            add_seed(system)
        add_data_folder(system)
        add_training(system)


def _add_photographs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="of photographs, and folders in it")
    parser.add_argument("--test", type=Path, nargs="+", metavar="FOLDER", help="to judge by (a tenth is kept back)")
    add_choice(parser, "--preset", ("photographs", "patches"), "photographs")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a run's config.json, instead of a preset")
    parser.add_argument("--size", type=positive, metavar="PIXELS", help="along a side, a multiple of 16 (the preset's)")
    parser.add_argument("--latent", type=positive, metavar="N", help="number of latent axes (the preset's)")
    add_choice(parser, "--perceptual", ("none", "auto", "vgg16", "ms-ssim"), "the preset's")
    parser.add_argument("--cache", type=float, metavar="MB", help="memory for decoded photographs (4096)")
    parser.add_argument(
        "--cache-dir", type=folder_name, metavar="DIR", help="a folder for them, read again by later runs"
    )
    add_seed(parser)
    add_training(parser)


def _add_egamma(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", type=Path, nargs="*", metavar="FILE", help="with the data sets X and y")
    parser.add_argument("--test", type=Path, nargs="+", metavar="FILE", help="other events, to judge by")
    add_choice(parser, "--preset", ("egamma", "small"), "egamma")
    parser.add_argument("--config", type=Path, metavar="FILE", help="a run's config.json, instead of a preset")
    add_choice(parser, "--storage", ("auto", "resident", "streamed"), "auto: resident where events fit the memory")
    parser.add_argument("--validation", type=float, metavar="SHARE", help="of the events, to choose by (0.1)")
    parser.add_argument("--test-share", type=float, metavar="SHARE", help="to judge by without test files (0.1)")
    parser.add_argument("--width", type=float, metavar="FACTOR", help="of the network's channels (the preset's)")
    parser.add_argument("--batch-size", type=positive, metavar="N", help="events per step (the preset's)")
    parser.add_argument("--learning-rate", type=float, metavar="RATE", help="at its peak (the preset's)")
    add_seed(parser)
    add_training(parser)


def _add_evaluate(commands: Any) -> None:
    evaluate = add_command(
        commands, "evaluate", "figures and pictures of a run on its test data", ("evaluate", "evaluate")
    )
    evaluate.add_argument(
        "system",
        nargs="?",
        choices=("few-label", "rotation", "classifier", "autoencoder", "egamma", "gan", "photographs"),
        metavar="SYSTEM",
        help="few-label, rotation, classifier, autoencoder, egamma, gan or photographs; found from the run by default",
    )
    evaluate.add_argument("run", type=Path, metavar="RUN", help="a run folder")
    evaluate.add_argument(
        "--classifier", type=Path, metavar="RUN", help="for rotation: judges whether labels are kept; for gan: samples"
    )
    add_beside(evaluate)
    evaluate.add_argument(
        "--files", type=Path, nargs="+", metavar="FILE", help="for egamma and photographs: where they lie now"
    )
    evaluate.add_argument(
        "--test",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="for egamma: where the test's lie now; else other images, none of which the run has learned",
    )
    evaluate.add_argument(
        "--data",
        type=Path,
        metavar="PATH",
        help="MNIST's folder; for autoencoder and gan what it was trained on (where that was, or LATENTCORE_DATA)",
    )
    add_channels_last(evaluate)
    evaluate.add_argument("--tsne", action="store_true", help="for autoencoder: t-SNE of the latents too (minutes)")
    evaluate.add_argument(
        "--out",
        type=folder_name,
        metavar="DIR",
        help="for figures and pictures (the run's folder; of data that the run did not hold out itself "
        "RUN/evaluations/NAME-HASH, so that the run keeps its own)",
    )


def _add_predict(commands: Any) -> None:
    predict = add_command(commands, "predict", "what a run says of the events of HDF5 files", ("egamma", "predict"))
    predict.add_argument("run", type=Path, metavar="RUN", help="a run of `latentcore train egamma`")
    predict.add_argument("files", type=Path, nargs="+", metavar="FILE", help="with the data set X")
    predict.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .h5, .hdf5 or .csv to write")


def _add_transform(commands: Any) -> None:
    transform = add_command(
        commands, "transform", "turn, scale or move an image in latent space", ("rotation", "transform")
    )
    transform.add_argument("run", type=Path, metavar="RUN", help="a run of `latentcore train rotation`")
    transform.add_argument("image", type=Path, metavar="IMAGE", help="PNG, JPEG, WebP or BMP: light on dark, as MNIST")
    transform.add_argument("--angle", type=float, default=0.0, help="degrees, counter-clockwise")
    transform.add_argument("--scale", type=float, default=1.0, help="magnification")
    transform.add_argument(
        "--translate", type=float, nargs=2, default=(0.0, 0.0), metavar=("RIGHT", "DOWN"), help="pixels"
    )
    add_reading(transform)
    transform.add_argument("--out", type=Path, required=True, metavar="FILE", help="the picture to write")


def _add_interpolate(commands: Any) -> None:
    interpolate = add_command(
        commands, "interpolate", "the way from an image to another", ("interpolate", "interpolate")
    )
    interpolate.add_argument("run", type=Path, metavar="RUN", help="a run with an autoencoder or a VAE")
    interpolate.add_argument("first", type=Path, metavar="IMAGE", help="where the way begins: PNG, JPEG, WebP or BMP")
    interpolate.add_argument("last", type=Path, metavar="IMAGE", help="where it ends")
    interpolate.add_argument("--steps", type=positive, default=11, metavar="N", help="images, ends included (11)")
    interpolate.add_argument("--label", type=whole, metavar="CLASS", help="of both, where the model is told classes")
    add_reading(interpolate)
    interpolate.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .png or .gif to write")


def _add_sweep(parser: argparse.ArgumentParser) -> None:
    systems = parser.add_subparsers(required=True, metavar="SYSTEM")
    rotation = add_command(
        systems, "rotation", "latent sizes, activations, losses and models", ("rotation_sweep", "sweep")
    )
    add_rotation(rotation)
    add_seed(rotation)
    add_data_folder(rotation)
    rotation.add_argument("--latents", type=number_list, default=(32,), metavar="2,8,32", help="latent sizes (32)")
    rotation.add_argument("--activations", type=word_list, default=("relu",), metavar="relu,silu", help="(relu)")
    rotation.add_argument("--models", type=word_list, default=_MODELS, metavar="equivariant,mlp", help="(all)")
    rotation.add_argument(
        "--losses", nargs="+", default=("image",), metavar="WEIGHTS", help="image latent=1,cosine=1 (image)"
    )
    rotation.add_argument("--epochs", type=positive, help="of the last phase of each run (the preset's)")
    rotation.add_argument(
        "--out", type=folder_name, required=True, metavar="DIR", help="the folder; goes on where it stopped"
    )


def _add_data(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    fetch = add_command(actions, "fetch", "get a data set", ("data", "fetch"))
    fetch.add_argument("name", choices=("mnist",), help="the data set")
    fetch.add_argument("--out", type=Path, default=Path("mnist"), help="the folder to write (%(default)s)")
    fetch.add_argument(
        "--from", dest="source", type=Path, metavar="FOLDER", help="a folder that has the files, plain or gzipped"
    )
    export = add_command(actions, "export", "write the NumPy files of the few-label protocol", ("data", "export"))
    add_data_folder(export)
    export.add_argument("--out", type=Path, required=True, help="the folder to write")
    add_labels(export)
    _add_events(actions)


def _add_events(actions: Any) -> None:
    simulate = add_command(actions, "simulate", "write simulated electrons and photons to HDF5", ("egamma", "simulate"))
    simulate.add_argument("--events", type=positive, required=True, metavar="N", help="half of them electrons")
    simulate.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    simulate.add_argument("--fluctuation", type=float, metavar="F", help="noise that hides the class: 0 to 0.4 or so")
    add_seed(simulate)
    inspect = add_command(actions, "inspect", "what an HDF5 file of electrons and photons holds", ("egamma", "inspect"))
    inspect.add_argument("file", type=Path, metavar="FILE", help="with the data sets X and y")
    inspect.add_argument("--picture", type=Path, metavar="FILE", help="of the mean images (beside the file, .png)")
