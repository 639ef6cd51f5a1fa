"""The native half: transports, the nats-py bus, files, the HTTP app and the command line."""
