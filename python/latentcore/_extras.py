"""Libraries that only parts of the package need, and the extras of its installation that bring them."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

MODULES = {
    "train": ("lightning_fabric", "matplotlib", "PIL", "rich", "tensorboard"),
    "report": ("jinja2", "plotly"),
    "tsne": ("openTSNE",),
}
"""Extras, and the modules that each brings."""


def of(error: BaseException) -> str | None:
    """The extra that brings what an import did not find; None of other errors."""
    module = error.name if isinstance(error, ModuleNotFoundError) else None
    return next((extra for extra, modules in MODULES.items() if module in modules), None)


@contextmanager
def named() -> Iterator[None]:
    """An import inside that fails since an extra is not installed says so; other errors are left as they are."""
    try:
        yield
    except ModuleNotFoundError as error:
        module, extra = error.name, of(error)
        if extra is None:
            raise
        words = f"{module}: expected the extra [{extra}], which pip install 'latentcore[{extra}]' installs, got none"
        raise ModuleNotFoundError(words, name=module) from None


@named()
def need(*extras: str) -> None:
    """All that these extras bring is installed; nothing is imported.

    Raises:
        ModuleNotFoundError: Something is not; the message names it and its extra.
    """
    for module in (module for extra in extras for module in MODULES[extra]):
        if find_spec(module) is None:
            raise ModuleNotFoundError(name=module)
