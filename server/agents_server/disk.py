"""What the file system refuses, as an error of ours that names the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agents_core.errors import StorageError


@dataclass(eq=False)
class Unusable(StorageError):
    """A file or folder that the command needs can't be made, read or written."""

    template: ClassVar[str] = "can't use {where}: {reason}"


@contextmanager
def usable(path: Path) -> Iterator[None]:
    """Work on files at a path, or below it.

    Raises:
        Unusable: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise Unusable(str(error.filename or path), error.strerror or str(error)) from None
