"""Things that are found by name: those of this package, and those that other packages declare as entry points."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib.metadata import entry_points
from pkgutil import resolve_name
from typing import Generic, TypeVar

from latentcore import _errors

T = TypeVar("T")


class Catalogue(Generic[T]):
    """Names, and where what they stand for is. Nothing is imported before it is asked for.

    Args:
        what: What each of them is, for messages.
        kind: Its class.
        group: Entry points of this group are further ones: `name = "package.module:OBJECT"`.
        own: Those of this package, as "package.module:OBJECT" by name; they win over others of the same name.

    Attributes:
        own: As given.

    Example:
        >>> constants = Catalogue("constant", float, "no.such.group", {"pi": "math:pi"})
        >>> round(constants.find("pi"), 2)
        3.14
    """

    def __init__(self, what: str, kind: type[T], group: str, own: Mapping[str, str]) -> None:
        self._what, self._kind, self._group, self.own = what, kind, group, own
        self._found: dict[str, T] = {}
        self._failed: dict[str, Exception] = {}  # of other packages, whose imports are tried once

    @cached_property
    def names(self) -> dict[str, str]:
        """Where each is; ours first."""
        theirs = {point.name: point.value for point in entry_points(group=self._group)}
        return {**self.own, **{name: place for name, place in theirs.items() if name not in self.own}}

    def find(self, name: str) -> T:
        """What a name stands for.

        Raises:
            ImportError: It is another package's, and its import fails.
            TypeError: It is of another class.
            ValueError: The name is unknown, or it has another name itself, which may be one of ours, or the name is one
                that ours had.
        """
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            _errors.fail_value(self._what, f"one of {', '.join(self.names)}", f"{name!r}{hint}")
        if name in self._failed:
            raise self._failed[name].with_traceback(None)
        if name not in self._found:
            try:
                self._found[name] = self._imported(
                    name, f"{name} = {self.names[name]!r}, an entry point of {self._group}"
                )
            except Exception as error:
                if name not in self.own:
                    self._failed[name] = error
                raise
        return self._found[name]

    def available(self) -> tuple[list[T], dict[str, str]]:
        """All that can be imported, and of those of other packages that cannot, by name, why, in one line."""
        found, broken = [], {}
        for name in self.names:
            try:
                found.append(self.find(name))
            except Exception as error:
                if name in self.own:
                    raise
                broken[name] = said(error.__cause__ or error)
        return found, broken

    def _imported(self, name: str, place: str) -> T:
        try:
            found = resolve_name(self.names[name].partition("[")[0].strip())  # "package:OBJECT [extra]"
        except (Exception, SystemExit) as error:
            if name in self.own:
                raise
            raise ImportError(f"{place}: expected one that can be imported, got {said(error)}") from error
        if not isinstance(found, self._kind):
            _errors.fail_type(place, f"a {self._kind.__name__}", type(found).__name__)
        if (own := getattr(found, "name", name)) != name:  # its runs would be those of another
            _errors.fail_value(place, f"one that is called {name!r}", f"one called {own!r}")
        if name not in self.own and any(name in getattr(self.find(ours), "aliases", ()) for ours in self.own):
            _errors.fail_value(place, "a name that nothing of latentcore had", repr(name))
        return found


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def did_you_mean(word: str, known: Mapping[str, object] | list[str]) -> str:
    """A hint to the nearest of the known words; nothing where none is near."""
    near = get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
