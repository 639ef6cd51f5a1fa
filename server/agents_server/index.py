"""A package index for micropip (PEP 503, PEP 691), and the lock file that Pyodide reads."""

from __future__ import annotations

import hashlib
import html
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_bytes
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name, parse_wheel_filename
from pyodide_lock import PyodideLockSpec
from pyodide_lock.utils import add_wheels_to_spec

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "text/html; charset=utf-8"


@dataclass(frozen=True)
class Wheel:
    """A wheel that the index offers.

    Attributes:
        path: the file.
        project: its normalized name.
        version: of the project.
        requires_python: what its metadata says, or empty.
        sha256: of the file.
    """

    path: Path
    project: str
    version: str
    requires_python: str
    sha256: str

    @classmethod
    def read(cls, path: Path) -> Wheel:
        """Read the facts from a wheel's name and metadata."""
        name, version, _, _ = parse_wheel_filename(path.name)
        with zipfile.ZipFile(path) as archive:
            found = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
            metadata = message_from_bytes(archive.read(found))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        requires = metadata.get("Requires-Python", "")
        return cls(path, name, str(version), requires, digest)

    @property
    def url(self) -> str:
        """Its path on the server."""
        return f"/wheels/{self.path.name}"


class Index:
    """The simple index over a few wheels.

    Args:
        wheels: what it offers.
    """

    def __init__(self, wheels: Sequence[Wheel]) -> None:
        self.wheels = list(wheels)

    @property
    def projects(self) -> list[str]:
        """The normalized names, sorted."""
        return sorted({wheel.project for wheel in self.wheels})

    def root(self, accept: str) -> tuple[str, str]:
        """The list of projects: text and MIME type."""
        if JSON_TYPE in accept:
            projects = [{"name": name} for name in self.projects]
            return _json({"projects": projects})
        links = "".join(f'<a href="/simple/{name}/">{name}</a><br>\n' for name in self.projects)
        return _html("Simple index", links)

    def project(self, name: str, accept: str, base: str) -> tuple[str, str] | None:
        """The files of one project; None if there is no such project.

        Args:
            name: of the project, normalized or not.
            accept: the client's Accept header.
            base: the server's own URL: micropip 0.11 takes nothing but absolute URLs from JSON.
        """
        name = canonicalize_name(name)
        wheels = [wheel for wheel in self.wheels if wheel.project == name]
        if not wheels:
            return None
        if JSON_TYPE in accept:
            versions = sorted({wheel.version for wheel in wheels})
            files = [_file(wheel, base) for wheel in wheels]
            return _json({"name": name, "versions": versions, "files": files})
        return _html(f"Links for {name}", "".join(_link(wheel, base) for wheel in wheels))


def _file(wheel: Wheel, base: str) -> dict[str, Any]:
    return {
        "filename": wheel.path.name,
        "url": base + wheel.url,
        "hashes": {"sha256": wheel.sha256},
        "requires-python": wheel.requires_python or None,
        "size": wheel.path.stat().st_size,
        "yanked": False,
    }


def _link(wheel: Wheel, base: str) -> str:
    requires = html.escape(wheel.requires_python, quote=True)
    url = f"{base}{wheel.url}#sha256={wheel.sha256}"
    return f'<a href="{url}" data-requires-python="{requires}">{wheel.path.name}</a><br>\n'


def _json(value: dict[str, Any]) -> tuple[str, str]:
    return json.dumps({"meta": {"api-version": "1.1"}, **value}), JSON_TYPE


def _html(title: str, body: str) -> tuple[str, str]:
    text = f"<!doctype html><html><head><title>{title}</title></head><body>\n{body}</body></html>"
    return text, HTML_TYPE


def lock(stock: Path, wheels: Sequence[Path]) -> bytes:
    """Pyodide's lock file with nothing but our wheels in it.

    The stock one names some hundred packages that are elsewhere; and its micropip is another file
    than the one that PyPI has, so its checksum would not fit.

    Args:
        stock: the lock file that came with Pyodide; says for which Pyodide it is.
        wheels: the wheels; served from `/wheels/`.
    """
    info = json.loads(stock.read_text(encoding="utf-8"))["info"]
    # Older versions of pyodide-lock demand a version, newer ones ignore it.
    empty = PyodideLockSpec.model_validate({"info": {"version": "0.0.0", **info}, "packages": {}})
    spec = add_wheels_to_spec(empty, list(wheels), base_url="/wheels/")
    return json.dumps(spec.model_dump(), sort_keys=True).encode()
