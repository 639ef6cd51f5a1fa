"""Typed messages as JSON: a handler gets what its annotation says, or the message is refused."""

from __future__ import annotations

import enum
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any, Generic, Literal, NewType, Optional, Protocol, TypedDict, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents_core import codec, jsonvalue
from agents_core.codec import PAYLOAD_DEPTH_MAX, Encoded
from agents_core.errors import EncodeError, InvalidMessage

Name = NewType("Name", str)
Nickname = NewType("Nickname", Name)


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


class Shade(enum.Enum):
    RED = (255, 0, 0)


class Word(str):
    """Text with a type of its own."""


@dataclass
class Point:
    x: int
    y: float = 0.0


@dataclass
class Shape:
    name: str
    colour: Colour = Colour.RED
    points: list[Point] = field(default_factory=list)
    by_name: dict[str, Point] = field(default_factory=dict)
    span: tuple[int, str] = (0, "")
    rest: tuple[int, ...] = ()
    note: str | None = None
    filled: bool = False
    area: float = field(init=False, default=0.0)


@dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError("n is more than 0")


@dataclass
class Unreadable:
    x: Missing  # type: ignore[name-defined]  # noqa: F821


class Options(TypedDict):
    depth: int


class Sized(Protocol):
    size: int


T = TypeVar("T")


@dataclass
class Box(Generic[T]):
    content: T


def test_a_dataclass_becomes_an_object_and_back() -> None:
    shape = Shape("s", Colour.BLUE, [Point(1, 2.5)], {"a": Point(0)}, (1, "x"), (1, 2), "n", True)
    name, data = codec.encode(shape)
    assert name == "Shape"
    assert data == {
        "name": "s",
        "colour": "blue",
        "points": [{"x": 1, "y": 2.5}],
        "by_name": {"a": {"x": 0, "y": 0.0}},
        "span": [1, "x"],
        "rest": [1, 2],
        "note": "n",
        "filled": True,
    }
    assert codec.decode(Shape, data) == shape


def test_plain_json_has_no_type_name() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {}}
    assert codec.encode(value) == ("", value)
    assert codec.encode(Colour.RED) == ("", "red")
    assert codec.encode([Level.LOW]) == ("", [1])
    assert codec.encode({"a": Word("x")}) == ("", {"a": "x"})
    assert codec.encode((1, [Point(1)])) == ("", [1, [{"x": 1, "y": 0.0}]])


def cycle() -> list[Any]:
    loop: list[Any] = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize(
    "value",
    [object(), {1}, b"x", {1: 2}, Point, [object()], Point(object()), cycle()],  # type: ignore[arg-type]
)
def test_what_has_no_json_form_is_refused(value: Any) -> None:
    with pytest.raises(EncodeError):
        codec.encode(value)


def test_depth_is_bounded() -> None:
    deep: Any = 1
    for _ in range(PAYLOAD_DEPTH_MAX):
        deep = [deep]
    codec.encode(deep)
    with pytest.raises(EncodeError, match="deeper"):
        codec.encode([deep])


ACCEPTED: list[tuple[Any, Any, Any]] = [
    (Any, object, object),
    (object, [1], [1]),
    (int, 1, 1),
    (float, 1, 1.0),
    (float, 1.5, 1.5),
    (str, "x", "x"),
    (bool, True, True),
    (type(None), None, None),
    (list, [1, "x"], [1, "x"]),
    (dict, {"a": 1}, {"a": 1}),
    (tuple, [1, 2], (1, 2)),
    (list[int], [1, 2], [1, 2]),
    (dict[str, float], {"a": 1}, {"a": 1.0}),
    (tuple[int, str], [1, "x"], (1, "x")),
    (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
    (tuple[int, ...], [], ()),
    (tuple[()], [], ()),
    (int | str, "x", "x"),
    (Optional[int], None, None),  # noqa: UP045
    (Point | None, {"x": 1}, Point(1)),
    (Literal["a", 1], "a", "a"),
    (Colour, "blue", Colour.BLUE),
    (Level, 1, Level.LOW),
    (Rights, 2, Rights.WRITE),
    (Rights, 3, Rights.READ | Rights.WRITE),
    (Rights, 0, Rights(0)),
    (Shade, [255, 0, 0], Shade.RED),
    (Literal[Colour.RED], "red", Colour.RED),
    (float | int, 2**53 + 1, 2**53 + 1),
    (float | None, 1, 1.0),
    (Name, "n", "n"),
    (Nickname, "n", "n"),
    (list[Point], [{"x": 1}], [Point(1)]),
    (Positive, {"n": 1}, Positive(1)),
    (Sequence[int], ["unchecked"], ["unchecked"]),
    (typing.Dict, {"a": 1}, {"a": 1}),  # noqa: UP006
    (typing.List, [1], [1]),  # noqa: UP006
    (typing.Tuple, [1], (1,)),  # noqa: UP006
    (dict[str, typing.List], {"a": [1]}, {"a": [1]}),  # noqa: UP006
    (Options, {"depth": 1}, {"depth": 1}),
    (Options | None, {"depth": 1}, {"depth": 1}),
    (Box[int], {"content": 1}, Box(1)),
    ("a string says nothing", 5, 5),
]
REFUSED: list[tuple[Any, Any, str]] = [
    (int, "1", "int is not int"),
    (int, True, "not int"),
    (int, 1.0, "not int"),
    (float, "x", "not float"),
    (float, True, "not float"),
    (float, 10**399, "too large"),
    (str, None, "not str"),
    (bool, 1, "not bool"),
    (type(None), 0, "not NoneType"),
    (list, {}, "not list"),
    (tuple, {}, "not tuple"),
    (list[int], "ab", "not list"),
    (list[int], [1, "x"], r"list\[1\] is not int"),
    (dict[str, int], [], "not dict"),
    (dict[str, int], {"a": "x"}, r"dict.a is not int"),
    (tuple[int, str], [1], "1 items, not 2"),
    (tuple[()], [1], "1 items, not 0"),
    (tuple[int, ...], ["x"], "not int"),
    (int | str, 1.5, "int | str"),
    (Literal["a", 1], True, "not one of"),
    (Colour, "green", "not one of"),
    (Colour, ["red"], "not one of"),
    (Level, True, "not one of"),
    (Rights, 4, "not one of"),
    (Rights, True, "not one of"),
    (Literal[Colour.RED], "blue", "not one of"),
    (Name, 5, "not str"),
    (Point, [1], "not an object"),
    (Point, {}, "lacks x"),
    (Point, {"x": 1, "z": 2, "a": 3}, "has no field a, z"),
    (Point, {"x": "1"}, "Point.x is not int"),
    (Shape, {"name": "s", "area": 1.0}, "no field area"),
    (Shape, {"name": "s", "points": [{"x": None}]}, r"Shape.points\[0\].x is not int"),
    (Positive, {"n": 0}, "n is more than 0"),
    (Unreadable, {"x": 1}, "Missing"),
    (typing.Dict, [1], "not dict"),  # noqa: UP006
    (typing.List, {"a": 1}, "not list"),  # noqa: UP006
    (Options, [1], "not dict"),
    (set[int], [1], "not set"),
    (frozenset[int], [1], "not frozenset"),
    (Box[int], {}, "lacks content"),
    (Sized, {"size": 1}, "Sized can't be made"),
]


@pytest.mark.parametrize(("kind", "value", "expected"), ACCEPTED)
def test_what_fits_an_annotation(kind: Any, value: Any, expected: Any) -> None:
    found = codec.decode(kind, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("kind", "value", "words"), REFUSED)
def test_what_does_not_fit_is_refused_with_the_place(kind: Any, value: Any, words: str) -> None:
    with pytest.raises(InvalidMessage, match=words):
        codec.decode(kind, value)


@dataclass
class Annotations:
    a: Annotated[int, "metadata"]


def test_metadata_of_an_annotation_is_not_in_the_way() -> None:
    assert codec.decode(Annotations, {"a": 1}) == Annotations(1)


floats = st.floats(allow_nan=False, allow_infinity=False)
points = st.builds(Point, st.integers(), floats)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
shapes = st.builds(
    Shape,
    text,
    st.sampled_from(Colour),
    st.lists(points, max_size=4),
    st.dictionaries(text, points, max_size=4),
    st.tuples(st.integers(), text),
    st.lists(st.integers(), max_size=4).map(tuple),
    st.none() | text,
    st.booleans(),
)


@given(shapes)
def test_any_dataclass_survives_the_wire(shape: Shape) -> None:
    data = jsonvalue.loads(jsonvalue.dumps(codec.encode(shape)[1]))
    assert codec.decode(Shape, data) == shape


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)


@given(json_values, st.sampled_from([kind for kind, *_ in ACCEPTED + REFUSED]))
def test_any_json_is_either_made_or_refused(value: Any, kind: Any) -> None:
    try:
        codec.decode(kind, value)
    except InvalidMessage:
        return


@given(st.dictionaries(st.sampled_from(["name", "colour", "points", "span", "area"]), json_values))
def test_any_object_is_either_a_shape_or_refused(value: Any) -> None:
    try:
        assert isinstance(codec.decode(Shape, value), Shape)
    except InvalidMessage:
        return


@given(shapes)
def test_what_is_encoded_is_passed_on_as_it_is(shape: Shape) -> None:
    codec.register(Shape)
    encoded = Encoded.of(shape)
    assert Encoded.of(encoded) is encoded
    assert codec.encode(encoded) == ("Shape", encoded.plain())
    assert encoded.decoded() == shape
    assert Encoded("NoSuchType", encoded.data).decoded() == encoded.plain()


def version(module: str, **fields: type) -> type:
    """A message type called `Report`, as a module has it."""
    kind = make_dataclass("Report", fields.items())
    kind.__module__ = module
    return kind


def test_of_types_of_one_name_it_is_the_newest_that_fits() -> None:
    numbers, texts = version("numbers_app", n=int), version("texts_app", text=str)
    codec.register(numbers)
    codec.register(texts)
    assert codec.decode_named("Report", {"n": 1}) == numbers(1)
    assert codec.decode_named("Report", {"text": "x"}) == texts("x")
    same = version("third_app", n=int)
    codec.register(same)
    assert type(codec.decode_named("Report", {"n": 1})) is same
    with pytest.raises(InvalidMessage, match="no field other"):
        codec.decode_named("Report", {"other": 1})


def test_a_type_that_is_made_again_replaces_the_one_before() -> None:
    old, new = version("again_app", first=int), version("again_app", second=int)
    codec.register(old)
    codec.register(new)
    assert codec.decode_named("Report", {"second": 1}) == new(1)
    with pytest.raises(InvalidMessage):
        codec.decode_named("Report", {"first": 1})


def test_nothing_is_no_bytes() -> None:
    assert Encoded.of(None) == Encoded("", b"")
    assert Encoded.of(None).decoded() is None
    assert Encoded("", b"null").plain() is None
