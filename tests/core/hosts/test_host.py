"""Where a child runs, and within which bounds."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core.errors import InvalidAgentId, InvalidSpec
from agents_core.hosts.host import HEAP_BYTES, Host


def test_where() -> None:
    assert Host.of("inline") is None
    assert Host.of("worker") == Host()
    assert Host.of("pool") == Host("pool")
    own = Host(agents=1)
    assert Host.of(own) is own


def test_there_is_room_between_the_ceiling_and_the_wall() -> None:
    assert Host().wall == HEAP_BYTES * 5 // 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "inline"},
        {"name": "worker"},
        {"agents": 0},
        {"mailbox": 0},
        {"start": 0},
        {"start": float("nan")},
        {"heap": 1000},
        {"answer": 0},
        {"answer": "1"},
        {"heap": 1e9},
        {"environment": "HOME"},
        {"environment": [5]},
        {"packages": "numpy"},
        {"packages": None},
    ],
)
def test_wrong_hosts(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSpec):
        Host(**wrong)
    for name in ("no token", None):
        with pytest.raises(InvalidAgentId):
            Host(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("where", ["", None])
def test_no_place_at_all_is_refused(where: Any) -> None:
    with pytest.raises(InvalidSpec, match="host is inline, worker, a name or a Host"):
        Host.of(where)
