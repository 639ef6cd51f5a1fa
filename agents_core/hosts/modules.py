"""How a class gets into another interpreter: by its name, and by its module's text if need be.

A host imports what its own files have. What they have not, such as an example's module or one that
a notebook made from text, the parent sends as text.
"""

from __future__ import annotations

import sys
from typing import Any

from agents_core.errors import InvalidSpec
from agents_core.modules import Text

MAIN = "__agents_main__"
"""What a host calls the script that was started: `__main__` is its own."""


def path_of(cls: type) -> str:
    """`module:name`, by which another interpreter finds the class: see `agents_core.modules`.

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
            hint = "put it into a file, or make a module with agents_core.modules.define"
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
