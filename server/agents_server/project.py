"""What `agents up` serves and runs from: the files of a clone."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from agents_core import tracebacks
from agents_core.errors import InvalidModule, Unsupported
from agents_server.assets import TYPES

WEB_TYPES = frozenset({".css", ".html", ".mjs", ".svg"})
NOT_SERVED = frozenset({"node", "node_modules"})
PYODIDE_FILES = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip")
LOCK_FILE = "pyodide-lock.json"


@dataclass(frozen=True)
class Project:
    """The folders of a clone.

    Args:
        root: the clone.
    """

    root: Path

    @classmethod
    def find(cls) -> Project:
        """The clone that this module is in.

        Raises:
            Unsupported: it was installed without one, so there is no page to serve.
        """
        for folder in Path(__file__).resolve().parents:
            if (folder / "web" / "index.html").is_file():
                return cls(folder)
        raise Unsupported("a page outside of a clone", "clone the project and use `make up`")

    def pages(self) -> dict[str, Path]:
        """The page's own files by their path on the server."""
        web = self.root / "web"
        files = [
            path
            for path in sorted(web.rglob("*"))
            if path.suffix in WEB_TYPES and not NOT_SERVED & set(path.relative_to(web).parts)
        ]
        return {"/": web / "index.html", **{f"/{f.relative_to(web).as_posix()}": f for f in files}}

    def cache(self) -> Path:
        """The folder for what is made of these files once, such as their gzipped forms."""
        return self.root / "build" / "served"

    def pyodide(self) -> Path:
        """The folder with Pyodide's files.

        Raises:
            Unsupported: it is not installed.
        """
        folder = self.root / "web" / "node_modules" / "pyodide"
        if not all((folder / name).is_file() for name in (*PYODIDE_FILES, LOCK_FILE)):
            instead = "`make up` installs it with npm; or give --pyodide-url another copy of it"
            raise Unsupported("Pyodide", instead)
        return folder

    def pyodide_version(self) -> str:
        """The version of Pyodide that is installed."""
        package = json.loads((self.pyodide() / "package.json").read_text(encoding="utf-8"))
        return str(package["version"])

    def wheel(self) -> Path:
        """This project's own wheel.

        Raises:
            Unsupported: it was not made yet.
        """
        return self.wheels()[0]

    def wheels(self) -> list[Path]:
        """The wheels that pages may install: this project's and micropip's.

        Raises:
            Unsupported: one of them was not made yet.
        """
        found = []
        for name in ("agents_core", "micropip"):
            files = sorted((self.root / "dist").glob(f"{name}-*-py3-none-any.whl"))
            if not files:
                raise Unsupported(f"a wheel of {name} in dist/", "`make up` makes it")
            found.append(max(files, key=lambda path: path.stat().st_mtime))
        return found

    def example(self, name: str) -> Example:
        """One of the examples.

        Raises:
            Unsupported: there is no example of that name.
        """
        folders = sorted((self.root / "examples").glob("*/"))  # some are pages, for `--pages`
        known = [folder for folder in folders if (folder / f"{folder.name}.py").is_file()]
        for folder in known:
            if folder.name == name:
                return Example(name, folder)
        names = ", ".join(folder.name for folder in known)
        raise Unsupported(f"the example {name!r}", f"there are: {names}")


def own_pages(folder: Path) -> dict[str, Path]:
    """The files of a user's folder by their path on the server, at `/<the folder's name>/`.

    Those that are hidden, or of a type that no page needs, are left out.
    """
    found = {}
    for where, folders, names in os.walk(folder):
        folders[:] = filter(_is_served, folders)
        base = Path("/", folder.name, Path(where).relative_to(folder)).as_posix()
        for name in filter(_is_served, names):
            path = Path(where, name)
            if path.suffix in TYPES and os.path.isfile(path):  # False also where that is secret
                found[f"{base}/{name}"] = path
        if index := found.get(f"{base}/index.html"):
            found[f"{base}/"] = index
    return dict(sorted(found.items()))


def _is_served(name: str) -> bool:
    """Whether what has that name in a user's folder is."""
    return has_url(name) and not name.startswith(".") and name not in NOT_SERVED


def has_url(name: str) -> bool:
    """Whether a URL can name a file of that name, which it can't without UTF-8."""
    return name == name.encode(errors="ignore").decode()


@dataclass(frozen=True)
class Example:
    """An example: `<name>.py` with `server` and `tab`, and a panel for the page.

    Args:
        name: of the folder and of the module in it.
        folder: where it is.
    """

    name: str
    folder: Path

    def load(self) -> ModuleType:
        """Import its module.

        Raises:
            InvalidModule: it raised something, or has no `server`.
        """
        path = self.folder / f"{self.name}.py"
        spec = importlib.util.spec_from_file_location(self.name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module  # dataclasses look their module up
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            text = tracebacks.text_of(error)
            raise InvalidModule(self.name, type(error).__name__, str(error), text) from None
        if not hasattr(module, "server"):
            raise InvalidModule(self.name, "AttributeError", "it has no function `server`")
        return module

    def pages(self) -> dict[str, Path]:
        """Its files by their path on the server; a panel is its own choice."""
        names = (f"{self.name}.py", "panel.mjs", "panel.css")
        paths = [self.folder / name for name in names]
        return {f"/examples/{self.name}/{p.name}": p for p in paths if p.is_file()}

    def describe(self) -> dict[str, object]:
        """Its part of `/config.json`."""
        pages = self.pages()

        def page(name: str) -> str | None:
            return next((path for path in pages if path.endswith(f"/{name}")), None)

        return {
            "name": self.name,
            "module": self.name,
            "files": [page(f"{self.name}.py")],
            "panel": page("panel.mjs"),
            "styles": page("panel.css"),
        }
