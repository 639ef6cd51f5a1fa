"""Which agents-core this is."""

VERSION = "0.1.0"
"""What the distribution is made with; said to servers, to other nodes and on the command line."""
