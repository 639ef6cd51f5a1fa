"""The fixture `start_app`: the real command, stopped in order at the end of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.app import App

StartApp = Callable[..., App]


@pytest.fixture
def start_app(tmp_path: Path) -> Iterator[StartApp]:
    """Starts `agents up` with some flags; at the end it has to stop in order."""
    apps: list[App] = []

    def start(*arguments: str, folder: Path = tmp_path, **environment: str) -> App:
        app = App(folder, [*arguments], environment)
        app.start()
        apps.append(app)
        return app

    yield start
    for app in apps:
        if app.process.returncode is None:
            assert app.stop() == 0, "\n".join(app.lines)
