"""Everything that the HTTP app serves, gathered once at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents_core.errors import Unsupported
from agents_core.version import VERSION
from agents_server.assets import IMMUTABLE, REVALIDATE, Asset
from agents_server.config import Config
from agents_server.index import Index, Wheel, lock
from agents_server.project import LOCK_FILE, PYODIDE_FILES, Example, Project, own_pages
from agents_server.snapshot import Snapshot

INDEX = "/simple/"
"""Where the package index is."""


@dataclass(frozen=True)
class Site:
    """What the app serves; known by its path, never looked up by what a client says.

    Attributes:
        settings: `/config.json`, but for the NATS server and the tags of the files.
        assets: files in memory, by path.
        files: files that are read at each request, by path, so that a page can be worked on.
        index: the package index.
    """

    settings: dict[str, Any]
    assets: Mapping[str, Asset]
    files: Mapping[str, Path]
    index: Index

    @classmethod
    def gather(cls, project: Project, config: Config, example: Example | None) -> Site:
        """Read what is to be served.

        Raises:
            Unsupported: Pyodide, a wheel or a folder of pages is not there, or its name is taken.
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
            locked = lock(folder / LOCK_FILE, [wheel.path for wheel in wheels], store)
            assets[pyodide + LOCK_FILE] = Asset.of(locked, ".json", REVALIDATE)
        snapshot = Snapshot.of(project, config.pyodide_url)
        if snapshot.path.exists():
            assets[snapshot.url] = Asset.packed_once(snapshot.path, IMMUTABLE, store)
        files = {**project.pages(), **(example.pages() if example else {})}
        own = own_pages(config.pages) if config.pages else {}
        if config.pages and config.pages.name in {
            _folder(path) for path in (*files, *assets, INDEX)
        }:
            raise Unsupported(f"pages in {config.pages}", "give the folder another name")
        settings = {
            "version": VERSION,
            "space": config.space,
            "pyodide": pyodide,
            "wheel": next(w.url for w in wheels if w.project == "agents-core"),
            "snapshot": snapshot.url,
            "index": INDEX,
            "bytes": sum(len(asset.body) for path, asset in assets.items() if _at_boot(path)),
            "example": example.describe() if example else None,
        }
        return cls(settings, assets, {**files, **own}, Index(wheels))

    def find(self, path: str, policy: str) -> Asset | None:
        """The file at a path, to be sent with that policy; None if there is none."""
        if path in self.files:
            file = self.files[path]
            return Asset.of(file.read_bytes(), file.suffix, REVALIDATE, policy=policy)
        return self.assets.get(path)

    def tags(self, policy: str) -> dict[str, str]:
        """All files by path, each with the tag of what is there now."""
        found = {path: self.find(path, policy) for path in (*self.files, *self.assets)}
        return {path: asset.tag for path, asset in found.items() if asset is not None}


def _folder(path: str) -> str:
    """The first part of a path; empty for what is not in a folder."""
    return path.removeprefix("/").rpartition("/")[0].partition("/")[0]


def _at_boot(path: str) -> bool:
    """Whether a page downloads it by `fetch` at its start: what its progress bar counts."""
    return path.endswith((".bin", ".wasm", ".zip", ".json")) or path.startswith(
        "/wheels/agents_core-"
    )
