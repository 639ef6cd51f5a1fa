"""The initial data of a watch: what was in the bucket when it began, and whether that was all."""

from __future__ import annotations

from agents_core.nats.jetstream.consumer import DeliverPolicy


class InitialData:
    """Knows whether every key that was there has been delivered.

    What a message says of the number of those behind it does not tell: while others write, the
    server counts too low, for a moment or for good. And a value that is replaced before its turn
    moves to the end of the stream. So the messages up to the last one of the beginning are counted,
    and if some are missing, the keys are compared with those of the stream.

    A beginning by sequence tells nothing of keys that have not changed since, so they can't be
    compared: there the first message at or behind the bound is the end.

    Args:
        last_seq: the stream's last message just before the first consumer was made.
        policy: where that one begins.
    """

    def __init__(
        self, last_seq: int, policy: DeliverPolicy = DeliverPolicy.LAST_PER_SUBJECT
    ) -> None:
        self._bound = last_seq
        self._by_sequence = policy is DeliverPolicy.BY_START_SEQUENCE
        self._began = False
        self._left: int | None = None  # messages up to the bound; None if nobody knows
        if policy is DeliverPolicy.NEW:
            self._left = 0
        self._seen: set[str] = set()
        self._missing: set[str] | None = None
        self.must_compare = False

    @property
    def is_complete(self) -> bool:
        """Whether that was all."""
        return self._left == 0 or (self._missing is not None and not self._missing)

    def begin(self, count: int) -> None:
        """A consumer was made, and so many messages were not delivered yet.

        One that goes on after another may deliver more than one message of a key, so its number
        says nothing about keys, unless it is 0.
        """
        if self.is_complete:
            return
        self._left = None if self._began and count else count
        self._began = True

    def take(self, key: str, sequence: int) -> None:
        """A message was delivered."""
        self._seen.add(key)
        if self._missing is not None:
            self._missing.discard(key)
        elif self._left is not None and sequence <= self._bound:
            self._left -= 1
        if self._by_sequence and sequence >= self._bound:
            self._left = 0
        self.must_compare = sequence >= self._bound and not self.is_complete

    def compare(self, keys: set[str], last_seq: int) -> None:
        """All keys of the stream, when `last_seq` was its last message.

        Those that were not delivered are waited for, until here or until they are gone.
        """
        missing = keys - self._seen
        self._missing = missing if self._missing is None else missing & self._missing
        self._bound = last_seq
        self.must_compare = False
