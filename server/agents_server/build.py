"""`python -m agents_server.build`: make what `agents up` would make at its start, or do without.

That is a snapshot of Pyodide with this project imported, and the packed forms of large files.
"""

from __future__ import annotations

import sys

from agents_core.errors import AgentsError
from agents_server.assets import PACKERS
from agents_server.config import Config
from agents_server.project import Project
from agents_server.site import Site
from agents_server.snapshot import take

DIGITS = 32
"""Of a file's digest in its tag."""


def build(project: Project) -> Site:
    """Make both, and delete what was made for earlier builds.

    A missing Node is no failure: pages do without a snapshot, and take their own.
    """
    try:
        take(project)
    except AgentsError as error:
        print(error)
    site = Site.gather(project, Config(), None)
    tags = {asset.tag for asset in site.assets.values()}
    for packed in project.cache().glob(f"{'?' * 64}.*"):
        if packed.name[:DIGITS] not in tags or packed.suffix[1:] not in PACKERS:
            packed.unlink(missing_ok=True)
    return site


def main() -> int:
    """Make them, and say what a browser will have to download."""
    site = build(Project.find())
    for path, asset in site.assets.items():
        size = min(map(len, (asset.body, *asset.packed.values())))
        print(f"{size / 1e6:6.2f} MB  {path}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except AgentsError as problem:
        sys.exit(str(problem))
