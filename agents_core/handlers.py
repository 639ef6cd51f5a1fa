"""`@on` and `@every`: which method of an agent handles what."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, is_dataclass
from typing import Any, TypeVar, get_type_hints, overload

from agents_core import codec
from agents_core.bounds import more_than
from agents_core.errors import EncodeError, InvalidMessage, InvalidSpec
from agents_core.mailbox import Envelope

TAKEN = frozenset({"id", "state", "ctx"})
"""What each agent has; a method of that name could not be called."""

F = TypeVar("F", bound=Callable[..., Any])

_ON = "__agents_on__"
_EVERY = "__agents_every__"


@overload
def on(what: F) -> F: ...
@overload
def on(what: str) -> Callable[[F], F]: ...
def on(what: Any) -> Any:
    """Mark a method as the handler of a message type, or of a name.

    `@on` takes the type from the annotation of the method's one parameter, a dataclass.
    `@on("name")` handles untyped JSON; the method takes the payload, or nothing. What the method
    returns is the reply. It may be a coroutine function; an agent handles one message at a time
    either way.

    In a subclass, a method that overrides a marked one handles what that one does, without a mark
    of its own; so with `@every`. `name = None` there ends it.

    Raises:
        InvalidSpec: it was given something else; what the class says wrongly is found when the
            class is made.
    """
    if isinstance(what, str):

        def mark(function: F) -> F:
            setattr(function, _ON, what)
            return function

        return mark
    if not inspect.isroutine(what):
        raise InvalidSpec(f"@on takes a name or marks a method: {what!r} is neither")
    setattr(what, _ON, "")
    return what


def every(seconds: float) -> Callable[[F], F]:
    """Mark a method to be called every `seconds` while the agent runs, between its messages.

    A call is skipped while the one before it still waits or runs.

    Raises:
        InvalidSpec: the interval is not more than 0.
    """
    more_than("the interval of every()", seconds, 0)

    def mark(function: F) -> F:
        setattr(function, _EVERY, float(seconds))
        return function

    return mark


class Refused(InvalidMessage):
    """A payload that does not fit; apart from an `InvalidMessage` that a handler raises."""


@dataclass(frozen=True, slots=True)
class Handler:
    """One handler of an agent class.

    Attributes:
        name: of the method.
        kind: the message type that it takes, None for untyped JSON.
        takes_payload: False for a method without a parameter.
    """

    name: str
    kind: type | None
    takes_payload: bool = True

    def argument(self, envelope: Envelope) -> Any:
        """What the method is called with: the payload, or an object of its type made from it.

        Raises:
            Refused: the payload does not fit the handler's type.
        """
        payload = envelope.payload
        if isinstance(payload, dict) and not envelope.type:
            payload = {name: value for name, value in payload.items() if name != "type"}
        if self.kind is None:
            return payload
        try:
            if is_dataclass(payload):  # another of that name, as after a notebook's cell ran again
                payload = codec.encode(payload)[1]
            return codec.decode(self.kind, payload)
        except (EncodeError, InvalidMessage) as error:
            raise Refused(error.reason) from None


@dataclass(slots=True)
class Handlers:
    """All handlers of an agent class."""

    by_type: dict[type, Handler] = field(default_factory=dict)
    by_name: dict[str, Handler] = field(default_factory=dict)
    every: list[tuple[float, str]] = field(default_factory=list)


def collect(cls: type) -> Handlers:
    """Read the marks of a class, its bases' included.

    Raises:
        InvalidSpec: a handler's parameters or annotations don't say what it handles, or two handle
            the same.
    """
    found = Handlers()
    for name in dir(cls):
        function = _marked(cls, name)
        if hasattr(function, _EVERY):
            _check_call(cls, function, name)
            found.every.append((getattr(function, _EVERY), name))
        if hasattr(function, _ON):
            label = getattr(function, _ON)
            own = inspect.getattr_static(cls, name)
            _check_reply(own, name)
            if own is not function:
                _hints(own, name)  # its reply may be of a type of its own
            _add(found, cls, _handler(function, name, label), label)
    return found


def _marked(cls: type, name: str) -> Any:
    """A method, or the one among those that it overrides which says what it is there for."""
    found = [vars(base)[name] for base in cls.__mro__ if name in vars(base)]
    marked = (one for one in found if hasattr(one, _ON) or hasattr(one, _EVERY))
    return next(marked, None) if inspect.isroutine(found[0]) else found[0]


def _check_call(cls: type, function: Any, name: str) -> None:
    try:
        inspect.signature(function.__get__(cls, cls)).bind()
    except TypeError:
        raise InvalidSpec(f"@every {name}: it takes no parameter") from None


def _check_reply(function: Any, name: str) -> None:
    if name in TAKEN:
        reason = "an agent has an attribute of that name; call the method otherwise"
        raise InvalidSpec(f"@on {name}: {reason}")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidSpec(f"@on {name}: it has a yield, and a message has one reply")


def _handler(function: Any, name: str, label: str) -> Handler:
    parameters = list(inspect.signature(function).parameters)[1:]
    if len(parameters) > 1:
        raise InvalidSpec(f"@on {name}: it takes at most one parameter, the message")
    hints = _hints(function, name)
    if label:
        return Handler(name, None, bool(parameters))
    kind = hints.get(parameters[0]) if parameters else None
    if not isinstance(kind, type) or not is_dataclass(kind):
        raise InvalidSpec(f"@on {name}: it takes one parameter, annotated with a dataclass")
    codec.register(kind)
    return Handler(name, kind)


def _hints(function: Any, name: str) -> dict[str, Any]:
    """A method's annotations; the type of its reply is known from here on."""
    try:
        hints = get_type_hints(function)
    except NameError as error:
        raise InvalidSpec(f"@on {name}: an annotation can't be read: {error}") from None
    if isinstance(reply := hints.get("return"), type) and is_dataclass(reply):
        codec.register(reply)
    return hints


def _add(found: Handlers, cls: type, handler: Handler, label: str) -> None:
    key = handler.kind.__name__ if handler.kind else label
    if key in found.by_name:
        raise InvalidSpec(
            f"{cls.__name__}: {handler.name} and {found.by_name[key].name} both handle {key}"
        )
    found.by_name[key] = handler
    if handler.kind is not None:
        found.by_type[handler.kind] = handler
