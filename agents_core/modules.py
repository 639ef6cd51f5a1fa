"""Modules made of text, as a page or a notebook has them, and classes by their names.

What such a module says in a traceback it says as a file would, with its lines.
"""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_loader
from types import ModuleType
from typing import Any

from agents_core import tracebacks
from agents_core.errors import InvalidModule

Text = tuple[str, bool]
"""A module's source, and whether it is a package."""


class _Texts(MetaPathFinder, ExecutionLoader):
    """Imports modules from texts; they come before files of the same name."""

    def __init__(self) -> None:
        self.texts: dict[str, Text] = {}

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """See `MetaPathFinder.find_spec`."""
        if name not in self.texts:
            return None
        return spec_from_loader(name, self, is_package=self.is_package(name))

    def get_source(self, fullname: str) -> str:
        """The text; tracebacks show its lines."""
        return self.texts[fullname][0]

    def is_package(self, fullname: str) -> bool:
        """Whether other modules are inside of it."""
        return self.texts[fullname][1]

    def get_filename(self, fullname: str) -> str:
        """What tracebacks call it."""
        return f"{fullname}.py"


_texts = _Texts()


def define(name: str, source: str, *, package: bool = False) -> ModuleType:
    """Make a module from text and import it; agents of its classes can be hosted, too.

    Made again, as when a notebook's cell runs again, it replaces the one before; if that fails, the
    one before stays. Agents that run already go on with the class that they were started with; a
    host goes on with the text that it imported, until its interpreter is replaced.

    Args:
        name: of the module; not that of one which is no text.
        source: Python.
        package: whether others are inside of it.

    Raises:
        InvalidModule: the name can't be used, or the text raised something.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        raise InvalidModule(name, "ValueError", "not a name of a module")
    if name not in _texts.texts and _exists(name):
        raise InvalidModule(name, "ValueError", "there is a module of that name")
    before = _texts.texts.get(name), sys.modules.pop(name, None)
    keep(name, source, package=package)
    try:
        made: ModuleType = _named(name)
    except InvalidModule:
        _put_back(name, *before)
        raise
    return made


def _exists(name: str) -> bool:
    try:
        return name in sys.modules or find_spec(name) is not None
    except ModuleNotFoundError:  # nor is there what it would be inside of
        return False


def _put_back(name: str, text: Text | None, module: ModuleType | None) -> None:
    if text is None:
        del _texts.texts[name]
    else:
        _texts.texts[name] = text
    if module is not None:
        sys.modules[name] = module


def keep(name: str, source: str, *, package: bool = False) -> None:
    """Have the text ready for whoever imports it."""
    if _texts not in sys.meta_path:
        sys.meta_path.insert(0, _texts)
    _texts.texts[name] = source, package


def imported(path: str) -> Any:
    """What is called `module:name`, imported if need be.

    Raises:
        ImportError: the module, or one that it imports, is not there.
        Exception: whatever the module raises when it is imported.
    """
    module, _, qualname = path.partition(":")
    invalidate_caches()
    found: Any = import_module(module)
    for name in filter(None, qualname.split(".")):
        found = getattr(found, name)
    return found


def load(path: str) -> Any:
    """As `imported`, with one error for all that can be wrong.

    Raises:
        InvalidModule: the module is not there, raised something, or has no such name.
    """
    return _named(path.partition(":")[0], path)


def _named(module: str, path: str = "") -> Any:
    try:
        return imported(path or module)
    except Exception as error:
        text = tracebacks.text_of(error)
        raise InvalidModule(module, type(error).__name__, str(error), text) from None
