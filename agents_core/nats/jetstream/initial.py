"""The initial data of a watch: what was in the bucket when it began, and whether that was all."""

from __future__ import annotations

from agents_core.nats.jetstream.consumer import DeliverPolicy


class InitialData:
    """Knows whether every key that was there has been delivered.

    What a message says of the number of those behind it does not tell: while others write, the
    server counts too low, for a moment or for good. And a value that is replaced before its turn
    moves to the end of the stream. So the messages up to the last one of the beginning are counted,
    and if some are missing, the keys are compared with those of the stream.

    The server that delivers may be a replica that lags behind: what was stored last it does not
    know yet, and does not count. So there is no end before the last message that the leader knows.

    A beginning by sequence tells nothing of keys that have not changed since, so they can't be
    compared: there the first message at or behind the bound is the end.

    Args:
        last_seq: the stream's last message just before the first consumer was made.
        policy: where that one begins.
        start_seq: the first message that is wanted.
        last_match: in a stream with replicas the last message that matches, else 0.
    """

    def __init__(
        self,
        last_seq: int,
        policy: DeliverPolicy = DeliverPolicy.LAST_PER_SUBJECT,
        start_seq: int = 1,
        last_match: int = 0,
    ) -> None:
        self._bound = last_match or last_seq
        self._last_match = last_match
        self._at = start_seq - 1  # the last message that was delivered
        self._by_sequence = policy == DeliverPolicy.BY_START_SEQUENCE
        self._began = False
        self._left: int | None = None  # messages up to the bound; None if nobody knows
        if policy == DeliverPolicy.NEW:
            self._left = self._last_match = 0
        self._seen: set[str] = set()
        self._missing: set[str] | None = None
        self.must_compare = False

    @property
    def is_complete(self) -> bool:
        """Whether that was all."""
        if self._missing is not None and not self._missing:
            return True
        return self._left == 0 and not self.lags

    @property
    def lags(self) -> bool:
        """Whether a message is still to come that the leader has, or had."""
        return self._at < self._last_match

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
        self._at = sequence
        if self._missing is not None:
            self._missing.discard(key)
        elif self._left is not None and sequence <= self._bound:
            self._left -= 1
        if self._by_sequence and sequence >= self._bound:
            self._left = 0
        self.must_compare = sequence >= self._bound and not self.is_complete

    def look_again(self, last_match: int) -> None:
        """The last message that matches may be gone; now it is this one."""
        self._last_match = min(self._last_match, last_match)

    def compare(self, keys: set[str], last_seq: int) -> None:
        """All keys of the stream, when `last_seq` was its last message.

        Those that were not delivered are waited for, until here or until they are gone.
        """
        missing = keys - self._seen
        self._missing = missing if self._missing is None else missing & self._missing
        self._bound = last_seq
        self.must_compare = False
