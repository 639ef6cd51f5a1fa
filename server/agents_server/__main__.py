"""`python -m agents_server` is the command `agents`."""

import sys

INTERRUPTED = 130
"""The exit code that shells give a command that was ended by Ctrl-C."""


def main() -> int:
    """The command, or which package it lacks."""
    try:
        from agents_server.cli import main as run  # noqa: PLC0415
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        sys.exit(f"agents: {package} is missing: pip install 'agents-core[server]'")
    except KeyboardInterrupt:  # these imports take a second
        return INTERRUPTED
    return run()


if __name__ == "__main__":
    sys.exit(main())
