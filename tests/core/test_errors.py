"""Errors are plain data with one sentence each."""

from __future__ import annotations

import string
from dataclasses import MISSING, fields, is_dataclass

import pytest

from agents_core import errors
from agents_core.errors import AgentsError


def subclasses(root: type[AgentsError]) -> list[type[AgentsError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in subclasses(child))]


OURS = [cls for cls in subclasses(AgentsError) if cls.__module__ == errors.__name__]


@pytest.mark.parametrize(
    "cls", [cls for cls in OURS if is_dataclass(cls)], ids=lambda c: c.__name__
)
def test_every_error_says_its_data(cls: type[AgentsError]) -> None:
    samples = {"int": 7, "float": 1.5, "str": "word"}
    required = [f for f in fields(cls) if f.default is MISSING]
    error = cls(*(samples.get(str(f.type), "word") for f in required))
    assert list(error.data()) == [field.name for field in fields(cls)]
    named = {name for _, name, _, _ in string.Formatter().parse(cls.template) if name}
    assert named <= set(error.data())
    assert str(error)
    assert "{" not in str(error)


def test_errors_without_a_template_are_ordinary() -> None:
    assert str(AgentsError("as given")) == "as given"


def test_a_timeout_is_a_timeout_for_everybody() -> None:
    with pytest.raises(TimeoutError):
        raise errors.RequestTimeout("a", 1.0)


def test_the_tree_in_the_documentation_names_all_of_them() -> None:
    assert errors.__doc__
    for cls in OURS:
        assert cls.__name__ in errors.__doc__
