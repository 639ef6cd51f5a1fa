"""What the command says on its standard output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from agents_server.disk import usable


def say(text: str) -> None:
    """Write a line at once; a letter that the terminal's encoding has not is written as its code.

    Raises:
        Unusable: nobody reads any more, or the disk is full.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    with usable(Path("standard output")):
        try:
            print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)
        except OSError:  # Python tries once more at its end, and says so: let that go nowhere
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise
