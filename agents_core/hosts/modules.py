"""How a class gets into another interpreter: by its name, and by its module's text if need be.

A host imports what its own files have. What they have not, such as an example's module or one that
a notebook made from text, the parent sends as text.
"""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from importlib.abc import ExecutionLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType
from typing import Any

from agents_core.errors import InvalidSpec

MAIN = "__agents_main__"
"""What a host calls the script that was started: `__main__` is its own."""

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
        """A name for tracebacks."""
        return f"{fullname}.py"


_texts = _Texts()


def define(name: str, source: str, *, package: bool = False) -> ModuleType:
    """Make a module from text, as a notebook or a page does; agents of its classes can be hosted.

    Args:
        name: of the module; one of that name that is there already is replaced.
        source: Python.
        package: whether others are inside of it.

    Raises:
        Exception: whatever the text raises.
    """
    keep(name, source, package=package)
    sys.modules.pop(name, None)
    return import_module(name)


def keep(name: str, source: str, *, package: bool = False) -> None:
    """Have the text ready for whoever imports it."""
    if _texts not in sys.meta_path:
        sys.meta_path.insert(0, _texts)
    _texts.texts[name] = source, package


def path_of(cls: type) -> str:
    """`module:name`, by which another interpreter finds the class.

    Raises:
        InvalidSpec: it can't be found by a name.
    """
    if "<locals>" in cls.__qualname__:
        raise InvalidSpec(f"{cls.__qualname__} is inside of a function: a host can't import it")
    module = cls.__module__
    if module == "__main__":
        main = sys.modules[module]
        spec = getattr(main, "__spec__", None)
        module = spec.name if spec is not None else MAIN
        if spec is None and text_of(MAIN) is None:
            hint = "put it into a file, or make a module with agents_core.hosts.modules.define"
            raise InvalidSpec(f"{cls.__qualname__} has no module that a host can import: {hint}")
    return f"{module}:{cls.__qualname__}"


def text_of(name: str) -> Text | None:
    """The source of a module that is imported here; None if there is no such thing."""
    module = sys.modules.get("__main__" if name == MAIN else name)
    loader: Any = getattr(module, "__loader__", None)
    try:
        source = loader.get_source(loader.name if hasattr(loader, "name") else name)
    except (AttributeError, ImportError, OSError):
        return None
    return (source, hasattr(module, "__path__")) if source is not None else None


def family(name: str) -> dict[str, Text]:
    """The sources of a module and of all that are imported here from inside of it, by name.

    A `from package import module` does not say that it is a module that it lacks.
    """
    inside = [other for other in sys.modules if other.startswith(f"{name}.")]
    found = {other: text_of(other) for other in (name, *inside)}
    return {other: text for other, text in found.items() if text is not None}


def load(path: str) -> Any:
    """What `path_of` named.

    Raises:
        ImportError: the module, or one that it imports, is not there.
        Exception: whatever the module raises when it is imported.
    """
    module, _, qualname = path.partition(":")
    invalidate_caches()
    found: Any = import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    return found
