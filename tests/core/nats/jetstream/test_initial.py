"""Whether that was all: counting, what came late, what was replaced, what is gone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agents_core.nats.jetstream.consumer import DeliverPolicy
from agents_core.nats.jetstream.initial import InitialData


def begun(last_seq: int, count: int) -> InitialData:
    initial = InitialData(last_seq)
    initial.begin(count)
    return initial


def test_a_policy_may_be_its_word() -> None:
    words: list[Any] = ["new", "by_start_sequence"]
    new, by_sequence = (InitialData(9, word) for word in words)
    assert new.is_complete
    by_sequence.begin(3)
    by_sequence.take("a", 9)
    assert by_sequence.is_complete


def test_nothing_is_complete_at_once() -> None:
    assert begun(9, 0).is_complete


def test_as_many_as_there_were_are_all() -> None:
    initial = begun(9, 2)
    initial.take("a", 4)
    assert not initial.is_complete
    assert not initial.must_compare
    initial.take("b", 7)
    assert initial.is_complete
    assert not initial.must_compare


def test_what_came_after_the_beginning_does_not_count() -> None:
    initial = begun(9, 2)
    initial.take("a", 4)
    initial.take("new", 10)
    assert not initial.is_complete
    assert initial.must_compare
    initial.compare({"a", "new", "b"}, 12)
    assert not initial.is_complete
    assert not initial.must_compare
    initial.take("b", 11)  # it was replaced before its turn
    assert initial.is_complete


def test_the_last_message_shows_that_some_are_missing() -> None:
    initial = begun(9, 2)
    initial.take("a", 9)
    assert initial.must_compare
    initial.compare({"a"}, 9)  # the other one is gone for good
    assert initial.is_complete


def test_a_key_that_is_gone_meanwhile_is_not_waited_for_and_a_new_one_neither() -> None:
    initial = begun(9, 3)
    initial.take("a", 9)
    initial.compare({"a", "b", "c"}, 12)
    initial.take("b", 11)
    assert not initial.must_compare
    initial.take("x", 12)
    assert initial.must_compare
    initial.compare({"a", "b", "x", "y"}, 15)
    assert initial.is_complete


def test_a_message_twice_replaced() -> None:
    initial = begun(9, 2)
    initial.take("a", 9)
    initial.compare({"a", "b"}, 12)
    initial.take("a", 12)
    assert initial.must_compare
    initial.compare({"a", "b"}, 20)
    assert not initial.is_complete
    initial.take("b", 19)
    assert initial.is_complete


def test_a_consumer_that_goes_on_counts_no_keys() -> None:
    initial = begun(9, 2)
    initial.begin(3)  # older values of the same keys, too
    initial.take("a", 3)
    initial.take("a", 5)
    initial.take("a", 7)
    assert not initial.is_complete
    initial.take("b", 9)
    assert initial.must_compare
    initial.compare({"a", "b"}, 9)
    assert initial.is_complete


def test_a_consumer_that_goes_on_may_find_nothing() -> None:
    initial = begun(9, 2)
    initial.take("a", 3)
    initial.begin(0)
    assert initial.is_complete


def test_what_is_complete_stays_so_after_another_beginning() -> None:
    initial = begun(9, 0)
    initial.begin(3)  # the connection was lost before anybody looked
    assert initial.is_complete


def test_what_begins_with_news_is_complete_whatever_the_server_counts() -> None:
    initial = InitialData(9, DeliverPolicy.NEW)
    assert initial.is_complete
    initial.begin(1)
    assert initial.is_complete


def test_a_beginning_by_sequence_ends_with_the_first_message_at_or_behind_the_bound() -> None:
    for last in (9, 12):
        initial = InitialData(9, DeliverPolicy.BY_START_SEQUENCE)
        initial.begin(3)  # one of which is replaced before its turn
        initial.take("a", 4)
        assert not initial.is_complete
        initial.take("b", last)
        assert initial.is_complete
        assert not initial.must_compare


def test_a_replica_that_lags_behind_counts_too_few() -> None:
    initial = InitialData(9, last_match=7)
    initial.begin(1)
    initial.take("a", 4)
    assert not initial.is_complete
    assert initial.lags
    initial.take("b", 7)
    assert not initial.lags
    assert initial.must_compare  # more than were counted, so nobody knows
    initial.compare({"a", "b"}, 9)
    assert initial.is_complete


def test_what_a_replica_has_not_yet_is_gone_meanwhile() -> None:
    initial = InitialData(9, last_match=7)
    initial.begin(1)
    initial.take("a", 4)
    initial.look_again(8)  # another one, which is news
    assert not initial.is_complete
    initial.look_again(4)
    assert initial.is_complete


def test_a_beginning_behind_the_last_message_is_the_end_with_replicas_too() -> None:
    for start, complete in ((7, False), (8, True)):
        initial = InitialData(9, DeliverPolicy.BY_START_SEQUENCE, start, last_match=7)
        initial.begin(0)
        assert initial.is_complete is complete
    initial = InitialData(9, DeliverPolicy.NEW, last_match=7)
    assert initial.is_complete


class Stream:
    """A stream that keeps one message of each key, read by one consumer."""

    def __init__(self) -> None:
        self.held: dict[str, int] = {}
        self.last_seq = 0

    def put(self, key: str) -> None:
        self.last_seq += 1
        self.held[key] = self.last_seq

    def after(self, sequence: int) -> tuple[str, int] | None:
        behind = [(seq, key) for key, seq in self.held.items() if seq > sequence]
        return min(behind)[::-1] if behind else None


KEYS = st.sampled_from("abcdefgh")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS), st.tuples(st.just("drop"), KEYS), st.just(("take", ""))
    ),
    max_size=60,
)


@given(before=st.lists(KEYS, max_size=12), steps=STEPS, compare_late=st.booleans())
def test_complete_means_that_every_key_was_delivered_or_is_gone(
    before: list[str], steps: list[tuple[str, str]], compare_late: bool
) -> None:
    stream = Stream()
    for key in before:
        stream.put(key)
    wanted, delivered, at = set(stream.held), set(), 0
    initial = begun(stream.last_seq, len(stream.held))
    for step, key in [*steps, *[("take", "")] * 30]:
        if step == "put":
            stream.put(key)
        elif step == "drop":
            wanted.discard(key)  # it need not be told of, although it may
            stream.held.pop(key, None)
        elif (found := stream.after(at)) is not None:
            at = found[1]
            delivered.add(found[0])
            initial.take(*found)
            if initial.must_compare and not compare_late:
                initial.compare(set(stream.held), stream.last_seq)
        elif initial.must_compare:
            initial.compare(set(stream.held), stream.last_seq)
        elif not initial.is_complete:
            initial.begin(0)  # silence: a new consumer finds nothing
        if initial.is_complete:
            assert wanted <= delivered
    assert initial.is_complete
