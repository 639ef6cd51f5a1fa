"""What may be done to an agent's state, as data: the seed's five actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias, cast, get_args

from agents_core.errors import InvalidMessage
from agents_core.state.backend import Json


@dataclass(frozen=True, slots=True)
class Store:
    """Keep `value` under `key`. The result is None."""

    key: str
    value: Json


@dataclass(frozen=True, slots=True)
class Get:
    """The result is the value of `key`, or None."""

    key: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Forget `key`. The result is True if it was there."""

    key: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget everything of this agent. The result is None."""


@dataclass(frozen=True, slots=True)
class List:
    """The result is the sorted list of the agent's keys that begin with `prefix`."""

    prefix: str = ""


StateAction: TypeAlias = Store | Get | Delete | Clear | List

_BY_NAME: dict[str, type[StateAction]] = {kind.__name__: kind for kind in get_args(StateAction)}


def to_json(action: StateAction) -> Json:
    """The seed's form: `{"Store": {"key": …, "value": …}}`, `"Clear"`, `"List"`.

    Raises:
        InvalidMessage: it is no state action.
    """
    if not isinstance(action, StateAction):
        raise InvalidMessage(f"no state action {action!r}: use Store, Get, Delete, Clear or List")
    name = type(action).__name__
    fields: dict[str, Json] = {slot: getattr(action, slot) for slot in action.__slots__}
    return {name: fields} if fields else name


def from_json(data: Json) -> StateAction:
    """Read what `to_json` wrote.

    Raises:
        InvalidMessage: it is no state action.
    """
    name, fields = (data, {}) if isinstance(data, str) else _only_item(data)
    kind = _BY_NAME.get(name)
    if kind is None or not isinstance(fields, dict):
        raise InvalidMessage(f"no state action {name!r}")
    if not isinstance(fields.get("key", ""), str) or not isinstance(fields.get("prefix", ""), str):
        raise InvalidMessage("a key is a string")
    try:
        return kind(**cast("dict[str, Any]", fields))
    except TypeError:
        raise InvalidMessage(f"wrong fields for {name}: {sorted(fields)}") from None


def _only_item(data: Json) -> tuple[str, Json]:
    if isinstance(data, dict) and len(data) == 1:
        return next(iter(data.items()))
    raise InvalidMessage("a state action is a name, or an object with one name")
