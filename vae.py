"""Few-label classification of small images: a VAE and a Gaussian mixture, by the protocol of three commands.

python vae.py TRAIN VAL train VAE_FILE GMM_FILE       trains on the images of TRAIN, reads the mixture with VAL's labels
python vae.py TEST test_reconstruction VAE_FILE       writes vae_reconstructed.npz, (N, H, W) as TEST's images
python vae.py TEST test_classifier VAE_FILE GMM_FILE  writes vae.csv with the column Predicted_Label
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import latentcore
from latentcore import metrics
from latentcore._files import replacing
from latentcore.data import ImageSet, load_images
from latentcore.data.convert import as_images, to_unit
from latentcore.mixture import load_mixture, save_mixture
from latentcore.models import load_vae, save_vae
from latentcore.systems.few_label.config import PRESETS


def train(train_file: str, val_file: str, vae_file: str, gmm_file: str) -> None:
    """Train without labels, fit the mixture, name its components by the labels of the second file."""
    _check_outputs(vae_file, gmm_file)
    images, labelled = load_images(train_file), load_images(val_file, labelled=True)
    config = replace(PRESETS["digits148"], classes=()).for_shape(tuple(images.images.shape[1:]))
    with tempfile.TemporaryDirectory() as folder:
        run = latentcore.train("few-label", images, labelled=labelled, config=config, run_dir=f"{folder}/run")
    with replacing(vae_file) as vae, replacing(gmm_file) as gmm:
        save_vae(run.model, vae)
        save_mixture(gmm, run.mixture)


@torch.no_grad()
def reconstruct(test_file: str, vae_file: str) -> None:
    """Write decode(encode(x)) in [0, 1] for the images of a file: (N, H, W), or (N, C, H, W) for several channels."""
    model, images = load_vae(vae_file), load_images(test_file).images
    decoded = model.decode(model.encode(to_unit(as_images(images, model.config.image_shape)))[0]).numpy()
    with replacing("vae_reconstructed.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, data=decoded[:, 0] if decoded.shape[1] == 1 else decoded)


@torch.no_grad()
def classify(test_file: str, vae_file: str, gmm_file: str) -> None:
    """Write the predicted labels of the images of a file, in their order; print figures where it has labels."""
    model, mixture, test = load_vae(vae_file), load_mixture(gmm_file), load_images(test_file)
    predicted = mixture.predict_label(model.encode(to_unit(as_images(test.images, model.config.image_shape)))[0])
    with replacing("vae.csv") as temporary:
        temporary.write_text("\n".join(["Predicted_Label", *map(str, predicted.tolist())]) + "\n")
    _print_figures(test, predicted)


def _check_outputs(vae_file: str, gmm_file: str) -> None:
    """Two files can be written; this is known before the training, not after it."""
    if Path(vae_file).resolve() == Path(gmm_file).resolve():
        raise ValueError(f"GMM_FILE: expected another file than VAE_FILE, got {gmm_file}")
    for path in (vae_file, gmm_file):
        if Path(path).is_dir():
            raise IsADirectoryError(f"{path}: expected a file to write, got a folder")


def _print_figures(test: ImageSet, predicted: torch.Tensor) -> None:
    if test.labels is None:
        return
    report = metrics.classification_report(test.labels, predicted)
    print(f"accuracy {report.accuracy:.4f}")
    print(f"macro precision {report.precision:.4f}, recall {report.recall:.4f}, F1 {report.f1_macro:.4f}")


def main(arguments: list[str]) -> int:
    """Run one of the three commands; bad usage or bad files give one line and a code other than 0."""
    torch.manual_seed(0)
    try:
        match arguments:
            case [train_file, val_file, "train", vae_file, gmm_file]:
                train(train_file, val_file, vae_file, gmm_file)
            case [test_file, "test_reconstruction", vae_file]:
                reconstruct(test_file, vae_file)
            case [test_file, "test_classifier", vae_file, gmm_file]:
                classify(test_file, vae_file, gmm_file)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except KeyboardInterrupt:
        print("interrupted: nothing was written", file=sys.stderr)
        return 130
    except (ValueError, TypeError, OSError, FloatingPointError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
