"""A snapshot of Pyodide's memory with this project imported, taken when the project is built.

`python -m agents_server.build` has it taken. Where there is none, every browser takes its own on
the first visit.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from agents_core.errors import Unsupported
from agents_server.project import PYODIDE_FILES, Project

RECIPE = ("snapshot.mjs", "wheel.mjs")
"""The files of the page that a snapshot depends on."""

NODE_VERSION_MIN = 18
SECONDS_MAX = 120
INSTEAD = f"install Node {NODE_VERSION_MIN} or newer; until then each browser takes its own"


@dataclass(frozen=True)
class Snapshot:
    """The snapshot of one build of Pyodide with one wheel.

    Attributes:
        key: names both, by their content.
        path: the file; it exists if the snapshot was taken.
    """

    key: str
    path: Path

    @classmethod
    def of(cls, project: Project, pyodide_url: str = "") -> Snapshot:
        """The one that pages of this project need.

        Args:
            project: the clone.
            pyodide_url: where Pyodide comes from, if not from the clone; stands for its content.

        Raises:
            Unsupported: Pyodide or the wheel is not there.
        """
        digest = hashlib.sha256(pyodide_url.encode())
        parts = [] if pyodide_url else [project.pyodide() / name for name in PYODIDE_FILES]
        recipe = [project.root / "web" / name for name in RECIPE]
        for path in (*parts, project.wheel(), *recipe):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        key = digest.hexdigest()[:32]
        return cls(key, project.root / "build" / "snapshots" / f"{key}.bin")

    @property
    def url(self) -> str:
        """Its path on the server, and its name in a browser's cache."""
        return f"/snapshots/{self.key}.bin"


def take(project: Project) -> Snapshot:
    """Delete the snapshots of earlier builds, and take that of this one if it is not there.

    Raises:
        Unsupported: there is no Node, none that is new enough, or it failed, and said why.
    """
    snapshot = Snapshot.of(project)
    folder = snapshot.path.parent
    for other in folder.glob("*.bin"):
        if other != snapshot.path:
            other.unlink(missing_ok=True)
    if not snapshot.path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = snapshot.path.with_suffix(f".{os.getpid()}.tmp")
        script = project.root / "web" / "node" / "take_snapshot.mjs"
        arguments = [str(part) for part in (script, project.pyodide(), project.wheel(), temporary)]
        # Nothing of this machine but the path of its programs.
        environment = {"PATH": os.environ.get("PATH", ""), "TZ": "UTC"}
        command = [_node(), *arguments]
        try:
            subprocess.run(command, env=environment, check=True, timeout=SECONDS_MAX)
        except subprocess.SubprocessError as error:
            temporary.unlink(missing_ok=True)
            raise Unsupported("a snapshot by this Node", INSTEAD) from error
        temporary.replace(snapshot.path)
    return snapshot


def _node() -> str:
    """The Node on the PATH.

    Raises:
        Unsupported: there is none, or it is too old.
    """
    node = shutil.which("node")
    if node is None:
        raise Unsupported("a snapshot without Node", INSTEAD)
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < NODE_VERSION_MIN:
        raise Unsupported(f"a snapshot by Node {version.strip()}", INSTEAD)
    return node
