"""Modules made of text: found by name, named when they fail, made again without harm."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator

import pytest

from agents_core import modules
from agents_core.errors import InvalidModule

COUNTER = """
from agents_core import Agent, on

class Counter(Agent):
    @on("boom")
    def boom(self):
        return 1 / 0

    class Inner:
        pass
"""


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """No test sees another's modules."""
    yield
    for name in list(modules._texts.texts):
        del modules._texts.texts[name]
        sys.modules.pop(name, None)
    if modules._texts in sys.meta_path:
        sys.meta_path.remove(modules._texts)


def test_a_class_of_a_text_is_found_by_its_name() -> None:
    made = modules.define("shop", COUNTER)
    assert made.__file__ == "shop.py"
    assert modules.load("shop:Counter") is made.Counter
    assert modules.load("shop:Counter.Inner") is made.Counter.Inner
    assert importlib.import_module("shop") is made
    assert modules.load("agents_core.agent:Agent").__name__ == "Agent"


def test_a_traceback_shows_the_lines_of_the_text() -> None:
    counter = modules.define("shop", COUNTER).Counter()
    with pytest.raises(ZeroDivisionError) as caught:
        counter.boom()
    assert "return 1 / 0" in "".join(traceback.format_exception(caught.value))


def test_one_text_imports_another() -> None:
    modules.define("base", "LIMIT = 3")
    assert modules.define("shop", "from base import LIMIT").LIMIT == 3


def test_a_package_has_others_inside_of_it() -> None:
    modules.keep("shop.inner", "X = 1")
    assert modules.define("shop", "from .inner import X", package=True).X == 1
    assert modules.load("shop.inner:X") == 1
    assert modules.define("shop.other", "Y = 2").Y == 2
    with pytest.raises(InvalidModule, match="No module named 'nothing'"):
        modules.define("nothing.inner", "X = 1")


def test_made_again_it_replaces_the_one_before_unless_it_fails() -> None:
    modules.define("shop", "VALUE = 1")
    again = modules.define("shop", "VALUE = 2")
    assert modules.load("shop:VALUE") == 2
    with pytest.raises(InvalidModule):
        modules.define("shop", "VALUE = 1 / 0")
    assert sys.modules["shop"] is again
    assert modules.load("shop:VALUE") == 2


def test_a_text_that_fails_leaves_nothing_behind() -> None:
    with pytest.raises(InvalidModule):
        modules.define("shop", "1 / 0")
    with pytest.raises(InvalidModule, match=r"module 'shop': ModuleNotFoundError: No module named"):
        modules.load("shop:Counter")
    assert modules.define("shop", "VALUE = 1").VALUE == 1


def test_says_what_the_text_raised_and_where() -> None:
    with pytest.raises(InvalidModule, match="module 'shop': ZeroDivisionError") as caught:
        modules.define("shop", "\n\n1 / 0\n")
    lines = caught.value.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].strip() == 'File "shop.py", line 3, in <module>'
    assert "agents_core" not in caught.value.traceback


def test_says_where_the_syntax_is_wrong() -> None:
    with pytest.raises(InvalidModule, match="SyntaxError") as caught:
        modules.define("shop", "class Counter(:\n")
    assert caught.value.traceback.splitlines()[0].strip() == 'File "shop.py", line 1'


@pytest.mark.parametrize(
    "name", ["", "two words", "a.", "3", "json", "json.decoder", "agents_core", "statistics"]
)
def test_refuses_a_name_that_is_none_or_somebody_elses(name: str) -> None:
    with pytest.raises(InvalidModule):
        modules.define(name, "VALUE = 1")


@pytest.mark.parametrize("path", ["agents_core.agent:Nobody", "no_such_module:Agent", "", ":Agent"])
def test_refuses_a_path_that_names_nothing(path: str) -> None:
    with pytest.raises(InvalidModule):
        modules.load(path)
