"""Where figures and pictures of a run go."""

import pytest

from latentcore.training.judging import place_of


@pytest.fixture
def run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.json").write_text("{}")
    return tmp_path / "run"


def test_a_folder_has_the_figures_of_one_data_set(run, tmp_path):
    out = tmp_path / "out"
    for _ in range(2):
        assert place_of(run, out, False, "digits", "one hash") == out
    with pytest.raises(
        ValueError, match=r"out \(--out DIR\): expected a folder without an evaluation on other data, got .*out"
    ):
        place_of(run, out, False, "digits", "another hash")


@pytest.mark.parametrize(("link", "own"), [("evaluations", False), ("pictures", True)])
def test_no_link_leads_out_of_a_run(run, tmp_path, link, own):
    (tmp_path / "elsewhere").mkdir()
    (run / link).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="got a link that leads out of it"):
        place_of(run, None, own, "digits", "hash")
    assert not list((tmp_path / "elsewhere").iterdir())
