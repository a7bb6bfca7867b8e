"""What torch keeps to itself stands in one module, and whatever a torch lacks of it, results are the same."""

import ast
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import latentcore
from children import run_child
from latentcore import _native, _torch_private, ops

PACKAGE = Path(latentcore.__file__).parent
# of Python's named tuples, frames and parsers, and scikit-learn's
NOT_TORCHS = {"_asdict", "_replace", "_fields", "_getframe", "_option_string_actions", "_validate_params"}
TORCHS = {name for thing in (torch, torch._C, torch.Tensor, nn.Module()) for name in dir(thing)}
TORCHS = {name for name in TORCHS if name.startswith("_") and not name.startswith("__")}

KERNELS = (
    *("torch._C._dispatch_get_all_op_names", "torch._C._dispatch_has_kernel_for_dispatch_key"),
    *("torch._C._functorch.peek_interpreter_stack", "torch.autograd.forward_ad._current_level"),
)
# the last bits: sums in another order
ROUNDING = {"rtol": 2e-5, "atol": 2e-6}


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def trees(files):
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def own_names(trees):
    """What the package itself calls by a private name: functions, classes, attributes, variables, slots."""
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name
            elif isinstance(node, ast.arg):
                yield node.arg
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
                yield node.attr


def is_own(attribute):
    return attribute.attr not in TORCHS or ast.unparse(attribute.value) == "self"


def of_torch(tree):
    """The names by which a module knows torch and what it has imported from it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.asname or "torch" for alias in node.names if alias.name.split(".")[0] == "torch")
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            yield from (alias.asname or alias.name for alias in node.names)


def private_uses(tree, own):
    """Names of torch's that it keeps to itself, in a module: by import, attribute, word of a call, or in quotes."""
    known = set(of_torch(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            paths = []
        for path in paths:
            parts = path.split(".")
            if parts[0] == "torch" and ("experimental" in parts or any(map(is_private, parts))):
                yield path
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in NOT_TORCHS:
            place = ast.unparse(node.value)
            if node.attr not in own or place.split(".")[0] in known or node.attr.startswith("_dynamo"):
                yield f"{place}.{node.attr}"
        if isinstance(node, ast.keyword) and is_private(node.arg or "") and node.arg not in own:
            yield node.arg
        if isinstance(node, ast.Constant) and node.value in TORCHS - own:
            yield node.value


def test_no_other_module_uses_a_private_name_of_torchs():
    modules = trees(PACKAGE.rglob("*.py"))
    own = set(own_names(modules))
    uses = {str(file.relative_to(PACKAGE)): sorted(set(private_uses(tree, own))) for file, tree in modules.items()}
    assert uses.pop("_torch_private.py")
    assert {file: names for file, names in uses.items() if names} == {}


@pytest.mark.parametrize(
    "text",
    [
        "from torch._C import anything",
        "from torch.nn.modules.module import _has_any_global_hook",
        "from torch.fx.experimental.proxy_tensor import make_fx",
        "import torch._dynamo",
        "import torch\ntorch._foreach_norm([])",
        "from torch import nn\nnn.modules.batchnorm._BatchNorm",
        "from torch.autograd import forward_ad as ad\ndef f():\n    return ad._current_level",
        "def f(tensor):\n    return tensor._version",
        "def f(layer):\n    return getattr(layer, '_forward_hooks')",
        "class A:\n    def f(self):\n        return self._buffers",
        "def f(make, work):\n    return make(work, _error_on_data_dependent_ops=False)",
        "def f():\n    pass\nf._dynamo_marked_constant = True",
    ],
)
def test_a_private_name_is_seen(text):
    assert len(list(private_uses(ast.parse(text), {"_own"}))) == 1


@pytest.mark.parametrize("text", ["import torch\ntorch.nn.Module", "def f(a):\n    return a._own, a._replace(b=1)"])
def test_other_names_are_not_seen(text):
    assert not list(private_uses(ast.parse(text), {"_own"}))


def test_this_torch_has_them_all():
    assert _torch_private.LACKING == []
    assert len(set(_torch_private.NAMES)) == len(_torch_private.NAMES)


LEVELS = [name for name in _torch_private.NAMES if "functorch" in name or name.endswith("_SingleLevelFunction")]
LEVELS = [name for name in LEVELS if name not in (*KERNELS, "torch._C._functorch.is_legacy_batchedtensor")]
RECORDING = [name for name in _torch_private.NAMES if name.endswith(("_hooks", "_hook", "make_fx", "DispatchMode"))]
OTHERS = [name for name in _torch_private.NAMES if name not in {*KERNELS, *LEVELS, *RECORDING}]


def some_at_a_time():
    """A few names in each test, and in one that never is left out one for each kind of fall-back."""
    for names in (KERNELS, LEVELS, RECORDING, OTHERS):
        for first in range(0, len(names), 4):
            yield pytest.param(names[first : first + 4], marks=pytest.mark.long, id=names[first])
    yield pytest.param([KERNELS[2], LEVELS[0], RECORDING[0]], id="one of each")


@pytest.mark.parametrize("names", list(some_at_a_time()))
def test_results_are_the_same_without_a_name(tmp_path, names):
    answers = tmp_path / "answers.pkl"
    child = run_child([sys.executable, str(Path(__file__).with_name("lacking.py")), str(answers), "", *names])
    assert child.returncode == 0, child.stderr
    expected, *found = pickle.loads(answers.read_bytes()).values()
    assert (expected["lacking"], expected["said"]) == ([], [])
    for name, answer in zip(names, found, strict=True):
        assert answer is not None, f"{name}\n{child.stderr}"
        assert answer["lacking"] == [name]
        check_words(name, answer["said"])
        check_values(name, answer["values"], expected["values"])


def check_words(name, said):
    """What costs much is said."""
    start = ""
    if name in KERNELS:
        start = f"latentcore runs on its slower torch reference: torch {torch.__version__} lacks {name}"
    elif name in RECORDING:
        start = f"steps are not recorded, and take longer: torch {torch.__version__} lacks {name}"
    assert [words[: len(start)] for words in said] == ([start] if start else [])


def check_values(name, values, expected):
    assert values.keys() == expected.keys()
    for key, value in values.items():
        if key == "precision" and name.startswith("torch.cpu."):
            continue  # float32 may serve where a processor's answer is not to be had
        if name in (*KERNELS, *LEVELS):  # the twins serve
            np.testing.assert_allclose(value, expected[key], **ROUNDING, err_msg=f"{key} without {name}")
        else:
            np.testing.assert_array_equal(value, expected[key], err_msg=f"{key} without {name}")


def test_a_compiler_that_does_not_know_the_mark(monkeypatch):
    monkeypatch.delattr(_native.is_transformed, "_dynamo_marked_constant")
    x, means, factors = torch.randn(5, 2), torch.randn(3, 2), torch.eye(2).repeat(3, 1, 1)

    def density(x):
        return ops.gmm_log_prob(x, means, factors).square().sum()

    torch.compiler.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of graphs that are broken
        compiled = torch.compile(density, backend="eager")(x)
        mapped = torch.compile(torch.vmap(torch.func.grad(density)), backend="eager")(x[None])
    torch.compiler.reset()
    torch.testing.assert_close(compiled, density(x))
    torch.testing.assert_close(mapped, torch.vmap(torch.func.grad(density))(x[None]))
