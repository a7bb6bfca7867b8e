import os
import shutil
import sys
from pathlib import Path

import pytest
import torch

import latentcore
from children import run_child
from latentcore import _C, ops
from latentcore.testing import assert_near

ONES = 2**64 - 1


@pytest.mark.parametrize(
    ("counter_low", "counter_high", "key", "expected"),
    [
        (0, 0, 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (ONES, ONES, ONES, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (0x85A308D3243F6A88, 0x0370734413198A2E, 0x299F31D0A4093822, "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_known_answers(counter_low, counter_high, key, expected):
    """The known-answer vectors of Random123."""
    words = _C.philox4x32_10(counter_low, counter_high, key)
    assert " ".join(f"{word:08x}" for word in words) == expected


def run(code, *, path=None, **variables):
    environment = {**os.environ, **variables}
    command = [sys.executable, "-S", "-c", code] if path else [sys.executable, "-c", code]
    if path:  # without site, so that the editable install is not found
        site = Path(torch.__file__).parents[1]
        environment["PYTHONPATH"] = os.pathsep.join([str(path), str(site)])
    return run_child(command, env=environment)


def test_without_the_libraries_one_warning_and_the_same_numbers(tmp_path):
    source = Path(latentcore.__file__).parent
    shutil.copytree(source, tmp_path / "latentcore", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    code = f"""
import warnings, torch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import latentcore
    from latentcore import ops
ours = [w for w in caught if "latentcore" in str(w.message)]
assert [w.category for w in ours] == [RuntimeWarning], ours
mu = torch.linspace(-1, 1, 12).view(3, 4)
loss = ops.vae_loss(mu, mu.abs(), mu, mu)
torch.save((ops.reparameterize_kl(mu, mu, seed=7), tuple(loss)), {str(tmp_path / "out")!r})
"""
    done = run(code, path=tmp_path)
    assert done.returncode == 0, done.stderr
    sampled, loss = torch.load(tmp_path / "out")
    mu = torch.linspace(-1, 1, 12).view(3, 4)
    native = (*ops.reparameterize_kl(mu, mu, seed=7), *ops.vae_loss(mu, mu.abs(), mu, mu))
    for actual, expected in zip((*sampled, *loss), native, strict=True):
        assert_near(actual, expected)


def test_the_operators_are_there_where_torch_is():
    registered = "print(hasattr(torch.ops.latentcore, 'warp'), hasattr(torch.ops.latentcore, 'draw_seed'))"
    assert run(f"import torch, latentcore\n{registered}").stdout.split() == ["True", "True"]
    assert run("import latentcore, sys\nprint('torch' in sys.modules)").stdout.split() == ["False"]


def test_an_unknown_simd_level_is_an_error():
    done = run("import latentcore.ops", LATENTCORE_SIMD="nonsense")
    assert "ValueError: LATENTCORE_SIMD: expected one of baseline, avx2, avx512, got 'nonsense'" in done.stderr
    with pytest.raises(ValueError, match=r"^level: expected one of"):
        _C.set_simd_level("nonsense")
