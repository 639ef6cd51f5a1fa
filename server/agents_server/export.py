"""`agents export FOLDER`: what `agents up` serves, as files for any other server.

Pages there work by themselves, or with a NATS server that listens for WebSockets.
"""

from __future__ import annotations

import json
from pathlib import Path

from agents_core.errors import Unsupported
from agents_server.disk import usable
from agents_server.headers import servers
from agents_server.project import LOCK_FILE
from agents_server.site import Site

PATHS = ("pyodide", "wheel", "snapshot")
"""What `config.json` says by path; a URL of another host stays as it is."""


def export(site: Site, folder: Path, *, nats: str = "local://", base: str = "/") -> int:
    """Write everything that a site has.

    Args:
        site: what `agents up` would serve.
        folder: where to; what is there already is overwritten, and nothing deleted.
        nats: where the pages connect to.
        base: the path at which the folder will be served, if it is not the root of its host; the
            project's own page works at the root only.

    Returns:
        The number of files.

    Raises:
        Unusable: one of them can't be read or written.
        Unsupported: the folder is among the pages, which would then hold their own copy; or no page
            reaches that NATS server.
        TransportError: `nats` is no URL of a server.
    """
    if site.pages and folder.resolve().is_relative_to(site.pages.resolve()):
        raise Unsupported(
            f"an export into its own pages, {folder}", "give a folder outside of them"
        )
    servers(nats)  # are ones that pages reach
    files = {path: asset.body for path, asset in site.assets.items()}
    for path, file in site.paths().items():
        with usable(file):
            files[path] = file.read_bytes()
    if (lock := f"{site.settings['pyodide']}{LOCK_FILE}") in files:
        files[lock] = _relocated(files[lock], base)
    for name in site.index.projects:
        found = site.index.project(name, "text/html", base.rstrip("/"))
        assert found is not None
        files[f"/simple/{name}/"] = found[0].encode()
    files["/config.json"] = json.dumps(_settings(site, nats, base), indent=2).encode()
    with usable(folder):
        for path, body in files.items():
            target = folder / (path.lstrip("/") + ("index.html" if path.endswith("/") else ""))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(body)
    return len(files)


def _settings(site: Site, nats: str, base: str) -> dict[str, object]:
    settings = {**site.settings, "nats": nats}
    for name in PATHS:
        settings[name] = _below(base, settings[name])
    # No policy: the tags say what the files are, and nothing of the server that will send them.
    tags = site.tags("") if base == "/" else {}
    if site.settings["snapshot"] in site.assets:
        tags[settings["snapshot"]] = site.assets[site.settings["snapshot"]].tag
    return {**settings, "index": _below(base, settings["index"]), "files": tags}


def _relocated(lock: bytes, base: str) -> bytes:
    """Pyodide's lock file, with the wheels where they will be."""
    spec = json.loads(lock)
    for package in spec["packages"].values():
        package["file_name"] = _below(base, package["file_name"])
    return json.dumps(spec).encode()


def _below(base: str, path: str) -> str:
    return base.rstrip("/") + path if path.startswith("/") else path
