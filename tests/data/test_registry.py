"""Data sets by their names, and by what their files look like."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch

from latentcore import _catalogue
from latentcore._catalogue import Catalogue
from latentcore.cli import main
from latentcore.data import ImageSet, registry
from latentcore.data.examples import Where
from latentcore.data.image_sets import IMAGES
from latentcore.data.registry import DataSet, located

STRIPES = DataSet("stripes", "30 images", lambda _: (ImageSet(torch.zeros(30, 1, 4, 4, dtype=torch.uint8)), None))
FAILING = DataSet("failing", "\x1b[31mred\nwords", lambda _: {}["missing"])
FIVE = DataSet("five", "no images", lambda _: 5)
BEATS = DataSet("beats", "of another kind", lambda _: [], kind="events")


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch):
    monkeypatch.delenv("LATENTCORE_DATA", raising=False)


@pytest.fixture
def declared(monkeypatch):
    """Data sets that another package declares, some of them broken and one with a name of ours."""
    values = {
        "stripes": "test_registry:STRIPES [more]",
        "failing": "test_registry:FAILING",
        "five": "test_registry:FIVE",
        "beats": "test_registry:BEATS",
        "broken": "no_such_module:DATASET",
        "mnist": "test_registry:STRIPES",
    }
    points = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
    monkeypatch.setattr(_catalogue, "entry_points", lambda group: points if group == registry.GROUP else [])
    monkeypatch.setattr(registry, "catalogue", Catalogue("DATA", DataSet, registry.GROUP, registry.catalogue.own))


def test_embedded_digits_need_no_files():
    found = IMAGES.opened(Where(("digits",)), None)
    assert (len(found.train), len(found.test)) == (3000, 500)
    assert found.source["data"] == ["digits"]


def test_a_folder_is_known_by_its_files(mnist_folder):
    assert located(str(mnist_folder), "images").dataset is registry.catalogue.find("mnist")


def test_the_environment_names_a_folder_or_one_of_all_data_sets(mnist_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("LATENTCORE_DATA", str(mnist_folder))
    assert located("mnist", "images").path == mnist_folder
    assert located(None, "images").path == mnist_folder
    (tmp_path / "mnist").symlink_to(mnist_folder)
    monkeypatch.setenv("LATENTCORE_DATA", str(tmp_path))
    assert located("mnist", "images").path == tmp_path / "mnist"


def test_a_data_set_that_is_missing_says_how_to_get_it(tmp_path, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"mnist: expected its folder as DATA, .* is not set; `latentcore data f"
    ):
        located("mnist", "images")
    monkeypatch.setenv("LATENTCORE_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"cifar-10: .* no such folder in LATENTCORE_DATA, .*binary version"):
        located("cifar-10", "images")


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (None, "DATA: expected a file, a folder, or one of mnist, .* got none; `latentcore data fetch mnist"),
        ("minst", "got 'minst'; did you mean mnist"),
        ("beats", "a data set of the kind 'images', got beats, one of the kind 'events'"),
    ],
)
def test_what_is_not_there_is_named(declared, word, message):
    with pytest.raises(ValueError, match=message):
        located(word, "images")


def test_a_file_that_is_missing_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npy"):
        IMAGES.opened(Where((str(tmp_path / "nowhere.npy"),)), None)


def test_a_folder_that_nobody_knows(tmp_path):
    with pytest.raises(
        ValueError, match=r"expected a file of images, or the folder of a data set with a name, got another folder"
    ):
        IMAGES.opened(Where((str(tmp_path),)), None)


def test_data_sets_of_other_packages(declared):
    assert registry.catalogue.find("mnist").name == "mnist"  # our names win
    assert (len(IMAGES.opened(Where(("stripes",)), None).train), located("stripes", "images").word) == (27, "stripes")
    with pytest.raises(ImportError, match=r"broken = 'no_such_module:DATASET', an entry point .*ModuleNotFoundError"):
        registry.catalogue.find("broken")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("failing", "failing: expected a data set that can be loaded, got KeyError: 'missing'"),
        ("five", "five: expected a data set that loads a pair, of an ImageSet and of another or None, got int"),
    ],
)
def test_one_of_another_package_that_fails_is_named(declared, name, message, capsys):
    with pytest.raises((TypeError, ValueError), match=f"^{message}$"):
        IMAGES.opened(Where((name,)), None)
    assert main(["data", "inspect", name]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_they_are_listed(declared, capsys):
    assert main(["data", "sets"]) == 0
    printed = capsys.readouterr().out
    assert "70,000 handwritten digits" in printed
    assert "30 images" in printed
    assert printed.count("left out: ") == 1
    assert "\n\nleft out: broken, which cannot be imported (ModuleNotFoundError: " in printed
    assert "failing    \\x1b[31mred\\nwords\n" in printed


def test_images_from_python_take_any_form():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    labels = np.arange(30) % 3
    for data in (pixels, torch.from_numpy(pixels), pixels[:, None], ImageSet(torch.from_numpy(pixels)[:, None])):
        found = IMAGES.given(data, None, labels=labels, test=(pixels[:5], labels[:5]), validation=pixels[5:8])
        assert torch.equal(found.train.images[:, 0], torch.from_numpy(pixels))
        assert found.train.labels.tolist() == labels.tolist()
        assert (len(found.test), len(found.validation), found.validation.labels) == (5, 3, None)
    assert IMAGES.given(found, None) is found
