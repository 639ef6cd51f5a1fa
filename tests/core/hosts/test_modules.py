"""How a class is found in another interpreter."""

from __future__ import annotations

import sys
import types
from importlib.machinery import ModuleSpec

import pytest

from agents_core import Agent
from agents_core.errors import InvalidSpec
from agents_core.hosts import modules
from agents_core.ids import unique
from agents_core.modules import define, imported
from tests.core.sample import Counter


class Outer:
    class Inner(Agent):
        pass


def test_by_its_name() -> None:
    assert modules.path_of(Counter) == "tests.core.sample:Counter"
    assert imported("tests.core.sample:Counter") is Counter
    assert imported(modules.path_of(Outer.Inner)) is Outer.Inner


def test_not_if_it_is_inside_of_a_function() -> None:
    class Local(Agent):
        pass

    with pytest.raises(InvalidSpec, match="inside of a function"):
        modules.path_of(Local)


def main(monkeypatch: pytest.MonkeyPatch, **attributes: object) -> type:
    """A class of a script that was started."""
    made = types.ModuleType("__main__")
    vars(made).update(attributes)
    monkeypatch.setitem(sys.modules, "__main__", made)
    return type("Mine", (Agent,), {"__module__": "__main__", "__qualname__": "Mine"})


def test_of_a_script_by_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    class Loader:
        name = "__main__"

        def get_source(self, name: str) -> str:
            return f"NAME = {name!r}"

    cls = main(monkeypatch, __loader__=Loader(), __spec__=None)
    assert modules.path_of(cls) == f"{modules.MAIN}:Mine"
    assert modules.text_of(modules.MAIN) == ("NAME = '__main__'", False)


def test_of_a_module_that_was_started_by_its_real_name(monkeypatch: pytest.MonkeyPatch) -> None:
    cls = main(monkeypatch, __spec__=ModuleSpec("package.app", None))
    assert modules.path_of(cls) == "package.app:Mine"


def test_not_of_a_session_without_text(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSpec, match="define"):
        modules.path_of(main(monkeypatch, __spec__=None))


def test_of_a_module_made_from_text() -> None:
    name = f"made_{unique(6)}"
    define(name, "X = 1")
    assert modules.text_of(name) == ("X = 1", False)


def test_a_package_comes_with_what_is_imported_from_it() -> None:
    name = f"made_{unique(6)}"
    define(name, "", package=True)
    define(f"{name}.inner", "X = 1")
    define(f"{name}er", "")
    assert modules.family(name) == {name: ("", True), f"{name}.inner": ("X = 1", False)}
    assert modules.family("no_such_module") == {}


def test_what_has_no_text() -> None:
    assert modules.text_of("no_such_module") is None
    assert modules.text_of("sys") is None
    assert modules.text_of("itertools") is None
