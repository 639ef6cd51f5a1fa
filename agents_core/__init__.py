"""Supervised, stateful Python agents, in browser tabs and on servers, talking over NATS."""
