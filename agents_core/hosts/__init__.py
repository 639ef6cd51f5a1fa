"""Agents in other interpreters, supervised from this one.

A host is a Web Worker with a Python of its own, or a process. What is behind the seam `Pipe` is the
same source on both. Here, from the bottom up: `frames`, `channel` (what crosses the pipe),
`modules`, `interpreter`, `registry`, `errands` and `hosted` (this side of it), `passage` and
`guest` (the other side), `backend` and `log` (a part for each).
"""
