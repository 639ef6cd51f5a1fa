"""Everything that the HTTP app serves, gathered once at the start."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agents_core.errors import Unsupported
from agents_core.ids import agent_id
from agents_core.version import VERSION
from agents_server.assets import IMMUTABLE, REVALIDATE, Asset
from agents_server.config import Config
from agents_server.index import Index, Wheel, lock
from agents_server.project import LOCK_FILE, PYODIDE_FILES, Example, Project, has_url, own_pages
from agents_server.snapshot import Snapshot

INDEX = "/simple/"
"""Where the package index is."""

UNCHANGED = "/!$&'()*+,;=:@[]|^"
"""What browsers leave as it is in the path of a URL, besides letters, digits and `-._~`."""

_log = logging.getLogger("agents_server")


@dataclass(frozen=True)
class Site:
    """What the app serves; known by its path, never looked up by what a client says.

    Attributes:
        settings: `/config.json`, but for the NATS server and the tags of the files.
        assets: files in memory, by path.
        files: files that are read at each request, by path, so that a page can be worked on.
        index: the package index.
        pages: a folder with pages of one's own, or None; also looked through at each request.
    """

    settings: dict[str, Any]
    assets: Mapping[str, Asset]
    files: Mapping[str, Path]
    index: Index
    pages: Path | None = None

    @classmethod
    def gather(cls, project: Project, config: Config, example: Example | None) -> Site:
        """Read what is to be served.

        Raises:
            Unsupported: Pyodide, a wheel or a folder of pages is not there, or its name is taken or
                none that a URL can have.
            InvalidAgentId: the space can't be a token of a subject.
        """
        store = project.cache()
        wheels = [Wheel.read(path) for path in project.wheels()]
        assets = {w.url: Asset.packed_once(w.path, REVALIDATE, store) for w in wheels}
        pyodide = config.pyodide_url
        if not pyodide:
            pyodide = f"/pyodide/{project.pyodide_version()}/"
            folder = project.pyodide()
            for name in PYODIDE_FILES:
                assets[pyodide + name] = Asset.packed_once(folder / name, IMMUTABLE, store)
            locked = lock(folder / LOCK_FILE, [wheel.path for wheel in wheels])
            assets[pyodide + LOCK_FILE] = Asset.of(locked, ".json", REVALIDATE)
        snapshot = Snapshot.of(project, config.pyodide_url)
        if snapshot.path.exists():
            assets[snapshot.url] = Asset.packed_once(snapshot.path, IMMUTABLE, store)
        files = {**project.pages(), **(example.pages() if example else {})}
        if config.pages and not (config.pages / "index.html").is_file():
            raise Unsupported(f"the page {config.pages}", "give a folder with an index.html")
        taken = {_folder(path) for path in (*files, *assets, INDEX)}
        if config.pages and (config.pages.name in taken or not has_url(config.pages.name)):
            raise Unsupported(f"pages in {config.pages}", "give the folder another name")
        settings = {
            "version": VERSION,
            "space": agent_id(config.space),
            "pyodide": pyodide,
            "wheel": next(w.url for w in wheels if w.project == "agents-core"),
            "snapshot": snapshot.url,
            "index": INDEX,
            "bytes": sum(len(asset.body) for path, asset in assets.items() if _at_boot(path)),
            "example": example.describe() if example else None,
        }
        return cls(settings, assets, files, Index(wheels), config.pages)

    def paths(self) -> dict[str, Path]:
        """The files that are read at each request, by path: those that are there now."""
        return {**self.files, **(own_pages(self.pages) if self.pages else {})}

    def find(self, path: str, policy: str) -> Asset | None:
        """The file at a path, to be sent with that policy; None if there is none."""
        if asset := self.assets.get(path):
            return asset  # without a look into the user's folder, which may be a large one
        file = self.paths().get(path)
        return _read(file, policy) if file else None

    def tags(self, policy: str) -> dict[str, str]:
        """All files by path, as in a URL, each with the tag of what is there now."""
        read = {path: _read(file, policy) for path, file in self.paths().items()}
        found = {**self.assets, **read}
        return {quote(path, UNCHANGED): asset.tag for path, asset in found.items() if asset}


def _read(file: Path, policy: str) -> Asset | None:
    """What is in a file; None if it was deleted, or can't be read."""
    try:
        return Asset.of(file.read_bytes(), file.suffix, REVALIDATE, policy=policy)
    except OSError as error:
        _log.warning("%s is not served: %s", file, error.strerror)
        return None


def _folder(path: str) -> str:
    """The first part of a path; empty for what is not in a folder."""
    return path.removeprefix("/").rpartition("/")[0].partition("/")[0]


def _at_boot(path: str) -> bool:
    """Whether a page downloads it by `fetch` at its start: what its progress bar counts."""
    return path.endswith((".bin", ".wasm", ".zip", ".json")) or path.startswith(
        "/wheels/agents_core-"
    )
