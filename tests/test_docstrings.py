"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import pytest

import latentcore

MODULES = [
    module.name
    for module in pkgutil.walk_packages(latentcore.__path__, "latentcore.")
    if not module.name.endswith(("._C", "_cpu", "_cuda"))
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS).failed == 0
