"""Numbers of a specification, refused by the name of their field."""

from __future__ import annotations

from agents_core.errors import InvalidSpec


def at_least(name: str, value: float, least: float) -> None:
    """Refuse what is no number, NaN included, or less.

    Raises:
        InvalidSpec: it is.
    """
    if not isinstance(value, int | float) or not value >= least:
        raise InvalidSpec(f"{name} is at least {least}, not {value!r}")


def more_than(name: str, value: float, bound: float) -> None:
    """Refuse what is no number, NaN included, or not more.

    Raises:
        InvalidSpec: it is.
    """
    if not isinstance(value, int | float) or not value > bound:
        raise InvalidSpec(f"{name} is more than {bound}, not {value!r}")
