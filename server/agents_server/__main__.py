"""`python -m agents_server` is the command `agents`."""

import sys

from agents_server.cli import main

sys.exit(main())
