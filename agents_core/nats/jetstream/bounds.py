"""Numbers of an option, refused by its name."""

from __future__ import annotations

from agents_core.nats.jetstream.errors import InvalidOption


def whole(name: str, value: int, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number, a bool included, or out of bounds.

    Raises:
        InvalidOption: it is.
    """
    fits = type(value) is int and least <= value and (most is None or value <= most)
    if not fits:
        bounds = f"at least {least}" if most is None else f"{least} to {most}"
        raise InvalidOption(name, f"{bounds}, a whole number, not {value!r}")
