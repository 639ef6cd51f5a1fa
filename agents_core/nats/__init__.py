"""A NATS client that runs on CPython and in the browser; usable by itself."""
