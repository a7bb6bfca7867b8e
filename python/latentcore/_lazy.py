"""Names of a package that are imported when they are asked for, so that a configuration costs no `import torch`."""

import ast
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from latentcore import _extras


def attach(package: str, file: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, from the stub `__init__.pyi` beside its `__init__.py`.

    Each name of the stub stands in `from module import name as name`, once: type checkers read the stub, Python imports
    from the module on first use. A name that is imported from the package itself is a module of it. One that the stub
    only declares (`name: type`) is the package's own.

    Args:
        package: The package's `__name__`.
        file: Its `__file__`.

    Raises:
        ModuleNotFoundError: By `__getattr__`, where the module needs an extra that is not installed.

    Example:
        >>> from latentcore import models
        >>> "VAE" in dir(models)
        True
    """
    homes: dict[str, tuple[str, str]] = {}
    declared: list[str] = []
    for node in ast.parse(Path(file).with_suffix(".pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            homes |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            declared.append(node.target.id)

    def getattribute(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, original = homes[name]
        with _extras.named():
            if module == package:
                return import_module(f"{package}.{original}")
            value = getattr(import_module(module), original)
        setattr(import_module(package), name, value)  # the next time it is simply there
        return value

    return getattribute, lambda: sorted([*homes, *declared]), sorted(homes)
