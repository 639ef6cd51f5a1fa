"""What a server may do, and what it would punish: one test for each row of the specification.

Elsewhere are the rows about JetStream's replies and about WebSocket messages, with JetStream and
with the transports, and the long form of some of these: every split and every chunking in
`test_parser`, the pool in `test_servers`, leaving a lame duck in `test_link`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agents_core import nats
from agents_core.bus import Status
from agents_core.errors import (
    AgentsError,
    AuthorizationError,
    InvalidSubject,
    MaxPayloadExceeded,
    NoResponders,
    NotConnected,
    PermissionsViolation,
    ProtocolError,
    ServerError,
    SubscriptionRefused,
    TransportError,
)
from agents_core.nats.commands import sub
from agents_core.nats.frames import encode_publish
from agents_core.nats.subject import SUBJECT_BYTES_MAX
from agents_core.testing.server import ScriptedServer, Session, info
from tests.core.nats.scripted import client, reached, session, until

CONTROL_LINE_BYTES_MAX = 4096
"""The server's `max_control_line`, of the words behind the verb."""


async def gives(
    data: bytes | list[bytes], *expected: tuple[bytes, dict[str, str]], sid: int = 1
) -> nats.Msg:
    """A subscription gets these messages of what the server sends; the connection stays.

    Returns the last one.
    """
    async with session() as (nc, peer, _):
        subscription = await nc.subscribe("a")
        for chunk in [data] if isinstance(data, bytes) else data:
            peer.send(chunk)
        for payload, headers in expected:
            msg = await subscription.next_msg()
            assert (msg.data, dict(msg.headers)) == (payload, headers)
        await nc.flush()
        assert nc.is_connected
        assert subscription.pending_msgs == 0
        return msg


async def breaks(data: bytes) -> None:
    """The connection is dropped because of this, the user is told why, and it comes back."""
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        subscription = await nc.subscribe("a")
        peer.send(data)
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        await peer.wait_closed()
        assert [type(error) for error in errors] == [ProtocolError]
        (await server.accept()).message("a", b"goes on")
        assert (await subscription.next_msg()).data == b"goes on"


# -- what arrives


async def test_any_split() -> None:
    data = b"MSG a 1 5\r\nhello\r\nPING\r\nHMSG a 1 r 18 20\r\nNATS/1.0\r\nK: v\r\n\r\nhi\r\n"
    expected = ((b"hello", {}), (b"hi", {"K": "v"}))
    for cut in range(1, len(data)):
        await gives([data[:cut], data[cut:]], *expected)
    await gives([data[i : i + 1] for i in range(len(data))], *expected)


async def test_bare_lf_after_a_control_line() -> None:
    await gives(b"MSG a 1 1\nx\r\nPING\nMSG a 1 1\r\ny\r\n", (b"x", {}), (b"y", {}))


@pytest.mark.parametrize("tail", [b"\n\r", b"xx", b"\n", b"\r\r\n"])
async def test_a_payload_that_is_not_followed_by_crlf(tail: bytes) -> None:
    await breaks(b"MSG a 1 1\r\nx" + tail + b"PING\r\nPING\r\n")


async def test_a_space_behind_info() -> None:
    greeting = info(server_name="first")
    assert greeting.endswith(b" \r\n")
    async with client(ScriptedServer(greeting)) as nc:
        assert nc.server_info["server_name"] == "first"


async def test_lower_case_tabs_and_repeated_spaces() -> None:
    data = (
        b"msg a 1 1\r\nx\r\nMsg\ta\t 1   1 \r\ny\r\npInG\r\nhmsg a  1 12 12\r\nNATS/1.0\r\n\r\n\r\n"
    )
    await gives(data, (b"x", {}), (b"y", {}), (b"", {}))


@pytest.mark.parametrize("line", [b"PING  ", b"PONG x", b"+OKay", b"pong", b"+ok", b"PING x"])
async def test_tails_that_the_servers_own_clients_accept(line: bytes) -> None:
    await gives(line + b"\r\nMSG a 1 1\r\nx\r\n", (b"x", {}))


@pytest.mark.parametrize(
    "line",
    [
        b"MSG a 1",
        b"MSG a 1 r s 1",
        b"MSG a 1 x",
        b"MSG a 1 -1",
        b"HMSG a 1 12",
        b"HMSG a 1 r s 12 12",
        b"HMSG a 1 13 12",
        b"SMG a 1 1",
    ],
)
async def test_messages_that_are_none(line: bytes) -> None:
    await breaks(line + b"\r\n")


@pytest.mark.parametrize("sid", [b"2", b"AbC!x", b"\xff", b"01"])
async def test_an_id_that_nobody_has(sid: bytes) -> None:
    async with session() as (nc, peer, _):
        subscription = await nc.subscribe("a")
        peer.send(b"MSG a %b 1\r\nx\r\n" % sid)
        await nc.flush()
        assert (nc.stats.in_msgs, subscription.pending_msgs, nc.is_connected) == (1, 0, True)


async def test_no_payload() -> None:
    msg = await gives(b"MSG a 1 0\r\n\r\n", (b"", {}))
    assert msg.reply == ""


async def test_an_empty_header_block() -> None:
    msg = await gives(b"HMSG a 1 12 13\r\nNATS/1.0\r\n\r\nx\r\n", (b"x", {}))
    assert (msg.status, msg.headers.corrupt) == (0, False)


async def test_a_status_that_any_publisher_may_send() -> None:
    block = b"NATS/1.0 503 My desc\r\nA: b\r\n\r\n"
    frame = b"HMSG a 1 %d %d\r\n%b" % (len(block), len(block) + 1, block)
    msg = await gives(frame + b"x\r\n", (b"x", {"A": "b"}))
    assert (msg.status, msg.description) == (503, "My desc")


async def test_nobody_listens() -> None:
    async with session() as (nc, peer, _):
        for block in (b"NATS/1.0 503\r\n\r\n", b"NATS/1.0 503\r\nNats-Subject: b\r\n\r\n"):
            asking = asyncio.create_task(nc.request("b", timeout=20))
            peer.message((await peer.expect("PUB")).words[2], headers=block)
            with pytest.raises(NoResponders) as caught:
                await asking
            assert caught.value.subject == "b"
        asking = asyncio.create_task(nc.request("b", timeout=20))
        reply = (await peer.expect("PUB")).words[2]
        peer.message(reply, b"busy", headers=b"NATS/1.0 503\r\n\r\n")  # said by a responder
        assert (await asking).data == b"busy"


@pytest.mark.parametrize(
    ("block", "headers", "corrupt"),
    [
        (b"NATS/1.0\r\nA:b\r\n\r\n", {"A": "b"}, False),
        (b"NATS/1.0\r\nA: b\r\n c\r\n\r\n", {"A": "b"}, True),
        (b"NATS/1.0\r\nA: 1\r\nA: 2\r\n\r\n", {"A": "1"}, False),
        (b"NATS/1.0\r\n: x\r\nA: b\r\n\r\n", {"A": "b"}, False),
        (b"NATS/1.0\r\nnone\r\n\r\n", {}, True),
        (b"NATS/1.0\r\nA: \xff\r\n\r\n", {"A": "\udcff"}, False),
        (b"HTTP/1.1\r\nA: b\r\n\r\n", {"A": "b"}, True),
        (b"NATS/1.0", {}, False),
    ],
)
async def test_headers_that_are_odd_harm_nobody_else(
    block: bytes, headers: dict[str, str], corrupt: bool
) -> None:
    frame = b"HMSG a 1 %d %d\r\n%bx\r\n" % (len(block), len(block) + 1, block)
    msg = await gives(frame, (b"x", headers))
    assert (msg.headers.corrupt, msg.raw_headers) == (corrupt, block)


async def test_subjects_that_are_not_ascii_and_not_even_text() -> None:
    async with session() as (nc, peer, _):
        subscription = await nc.subscribe(">")
        peer.send("MSG é.ü 1 0\r\n\r\n".encode() + b"MSG \xff\xfe.b 1 \xff 0\r\n\r\n")
        assert (await subscription.next_msg()).subject == "é.ü"
        msg = await subscription.next_msg()
        assert (msg.subject, msg.reply) == ("\udcff\udcfe.b", "\udcff")
        await msg.respond(b"there and back")
        assert (await peer.expect("PUB")).line == b"PUB \xff 14"


async def test_more_than_this_server_would_take() -> None:
    payload = bytes(300_000)  # from another one of the cluster, that allows more
    async with client(ScriptedServer(info(max_payload=1000))) as nc:
        peer = await _first(nc)
        subscription = await nc.subscribe("a")
        frame = b"MSG a 1 %d\r\n%b\r\n" % (len(payload), payload)
        for begin in range(0, len(frame), 4096):
            peer.send(frame[begin : begin + 4096])
        assert (await subscription.next_msg()).data == payload


@pytest.mark.parametrize("payload", [b"\r\n\r\n", b"MSG a 1 0\r\n\r\n", b"PING\r\n-ERR 'x'\r\n"])
async def test_payloads_that_look_like_the_protocol(payload: bytes) -> None:
    await gives(b"MSG a 1 %d\r\n%b\r\n" % (len(payload), payload), (payload, {}))


# -- what is sent


async def _first(nc: nats.Client) -> Session:
    server = nc.options.dialer
    assert isinstance(server, ScriptedServer)
    peer = await server.accept()
    await peer.expect("PING")
    return peer


async def test_more_than_the_server_takes_is_refused_here() -> None:
    async with client(ScriptedServer(info(max_payload=20))) as nc:
        peer = await _first(nc)
        nc.publish("a", bytes(20))
        for refused in ({"payload": bytes(21)}, {"payload": bytes(3), "headers": {"K": "v"}}):
            with pytest.raises(MaxPayloadExceeded):
                nc.publish("a", **refused)
        nc.publish("a", bytes(2), headers={"K": "v"})
        peer.send(info(max_payload=1))
        await nc.flush()
        with pytest.raises(MaxPayloadExceeded):
            nc.publish("a", bytes(2))
        assert [c.verb for c in peer.commands] == ["PUB", "HPUB", "PING"]


def test_no_control_line_is_too_long() -> None:
    longest = "é" * (SUBJECT_BYTES_MAX // 2)
    frame = encode_publish(longest, bytes(1000), longest, {"K": "v" * 99_000_000}, 10**8)
    line = b"".join(frame[:2]).partition(b"\r\n")[0]
    assert len(line) - len("HPUB ") <= CONTROL_LINE_BYTES_MAX
    line = sub(longest, b"9" * 19, longest)
    assert len(line) - len("SUB \r\n") <= CONTROL_LINE_BYTES_MAX
    for wrong in ((longest + "x", ""), ("a", longest + "x")):
        with pytest.raises(InvalidSubject):
            encode_publish(wrong[0], b"", wrong[1], None, 10)


async def test_what_can_not_be_subscribed_to() -> None:
    async with session() as (nc, peer, _):
        await peer.expect("PING")
        for subject in ("foo..bar", "foo bar", "foo\tbar", "foo\r\nPUB a 0", ".", "a" * 5000):
            with pytest.raises(InvalidSubject):
                await nc.subscribe(subject)
            with pytest.raises(InvalidSubject):
                await nc.subscribe("a", subject if " " in subject else "a\nb")
        await nc.flush()
        assert [command.verb for command in peer.commands] == ["PING"]


async def test_a_wildcard_is_not_published_to_unless_the_user_wants_it() -> None:
    async with session() as (nc, _, _):
        for subject in ("foo.*", "foo.>", ">"):
            with pytest.raises(InvalidSubject, match="wildcards"):
                nc.publish(subject)
    async with session(skip_subject_validation=True) as (nc, peer, _):
        for subject in ("foo.*", "foo..bar"):
            nc.publish(subject, reply="a.*")
            assert (await peer.expect("PUB")).line == f"PUB {subject} a.* 0".encode()
        for subject in ("", "a b", "a\r\nPUB b 0", "a" * 5000):  # these would break the line
            with pytest.raises(InvalidSubject):
                nc.publish(subject)
            with pytest.raises(InvalidSubject):
                nc.publish("a", reply=subject or " ")


@pytest.mark.parametrize("payload", [b"", b"\r\n", bytes(range(256)), b"PUB a 0\r\n\r\n"])
@pytest.mark.parametrize("headers", [None, {"K": "v"}, {"K": ["é", ""]}])
def test_declared_lengths_are_right(payload: bytes, headers: Any) -> None:
    frame = encode_publish("a", payload, "r", headers, 10_000)
    line, _, rest = b"".join(frame).partition(b"\r\n")
    words = line.split(b" ")
    sizes = [int(word) for word in words[3:]]
    assert rest.endswith(payload + b"\r\n")
    assert len(rest) == sizes[-1] + 2
    assert len(rest) - len(payload) - 2 == (sizes[0] if headers else 0)


async def test_connect_says_what_servers_insist_on() -> None:
    async with session() as (_, peer, _):
        fields = (await peer.expect("CONNECT")).fields
        assert fields["headers"] is fields["no_responders"] is True
        assert fields["protocol"] == 1


# -- INFO, PING and PONG


async def test_info_in_the_middle_of_it() -> None:
    async with session() as (nc, peer, _):
        subscription = await nc.subscribe("a")
        peer.send(b"MSG a 1 0\r\n\r\n" + info(max_payload=5, connect_urls=["two:1"], a=1))
        peer.send(b'MSG a 1 0\r\n\r\nINFO {"connect_urls":["three:1"]}\r\n')
        await subscription.next_msg()
        await subscription.next_msg()
        await nc.flush()
        assert (nc.max_payload, nc.server_info["a"]) == (5, 1)
        assert nc.servers == ["nats://one:4222", "nats://three:1"]
        peer.send(b'INFO {"connect_urls":[]}\r\n')
        await nc.flush()
        assert nc.servers == ["nats://one:4222"]  # in use, and the user's own


async def test_more_info_right_behind_the_first_pong() -> None:
    server = ScriptedServer()
    server.answers["PING"] = b"PONG\r\n" + info(connect_info=True, remote_account="A")
    async with client(server) as nc:
        assert nc.server_info["remote_account"] == "A"


async def test_ping_before_the_handshake_is_over() -> None:
    server = ScriptedServer(info() + b"PING\r\n")
    server.answers["CONNECT"] = b"PING\r\n"
    async with client(server) as nc:
        peer = await server.accept()
        assert nc.is_connected
        assert [c.verb for c in peer.commands].count("PONG") == 2


async def test_an_answer_to_ping_is_never_inside_a_message() -> None:
    async with session() as (nc, peer, _):
        await peer.expect("PING")
        nc.publish("a", b"1")
        peer.pause()
        nc.publish("a", b"2")
        peer.send(b"MSG a 1 100\r\n" + bytes(50))
        peer.send(bytes(50) + b"\r\nPING\r\n")
        await asyncio.sleep(0)
        peer.resume()
        await peer.expect("PUB")
        assert [c.verb for c in peer.commands] == ["PONG", "PUB"]
        assert peer.commands[1].payload == b"2"


async def test_pongs_are_matched_in_order() -> None:
    async with session(ping_interval=0.01) as (nc, peer, server):
        del server.answers["PING"]
        first = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        await peer.expect("PING")
        await peer.expect("PING")  # of the handshake or of the silence
        second = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        peer.send(b"PONG\r\n")
        await first
        assert not second.done()
        server.answers["PING"] = b"PONG\r\n"
        peer.send(b"PONG\r\n" * 3)
        await second


# -- what the server says


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Authentication Timeout", ServerError),
        ("Authorization Violation", AuthorizationError),
        ("maximum connections exceeded", ServerError),
        ("Connection throttling is active. Please try again later.", ServerError),
        ("Secure Connection - TLS Required", ServerError),
        ("no responders requires headers support", ServerError),
        ("invalid client protocol", ServerError),
    ],
)
@pytest.mark.parametrize("when", ["instead of INFO", "behind INFO", "instead of PONG"])
async def test_a_server_that_refuses_is_passed_over(
    text: str, error: type[AgentsError], when: str
) -> None:
    class Refusing(ScriptedServer):
        async def dial(self, url: Any, *arguments: Any) -> asyncio.Transport:
            one = url.hostname == "one"
            words = f"-ERR '{text}'\r\n".encode()
            refusal = {"instead of INFO": words, "behind INFO": info() + words}
            self.greeting = refusal.get(when, info()) if one else info()
            self.answers["PING"] = words if one and when == "instead of PONG" else b"PONG\r\n"
            return await super().dial(url, *arguments)

    errors: list[Exception] = []
    async with client(Refusing(), "nats://one,nats://two", error_cb=errors.append) as nc:
        assert nc.url == "nats://two:4222"
        assert [(type(e), str(e)) for e in errors] == [(error, f"server: {text}")]
    with pytest.raises(error, match=text):
        await nats.connect("nats://one", dialer=Refusing())


Cut = Callable[[Session], None]


@pytest.mark.parametrize("ignore", [False, True])
async def test_credentials_that_are_refused_again_and_again(ignore: bool) -> None:
    errors: list[Exception] = []
    options = {"error_cb": errors.append, "ignore_auth_error_abort": ignore}
    async with session(**options) as (nc, peer, server):
        del server.answers["PING"]
        server.answers["CONNECT"] = b"-ERR 'Authorization Violation'\r\n"
        peer.cut()
        if ignore:
            await until(lambda: len(errors) > 5)
            assert nc.is_reconnecting
            server.answers = {"PING": b"PONG\r\n"}
            await reached(nc, Status.CONNECTED)
        else:
            await reached(nc, Status.CLOSED)
            assert [type(e) for e in errors] == [TransportError] + [AuthorizationError] * 2
            assert isinstance(nc.last_error, AuthorizationError)


@pytest.mark.parametrize(
    "text",
    [
        "User Authentication Expired",
        "Account Authentication Expired",
        "User Authentication Revoked",
    ],
)
async def test_credentials_that_end_in_the_middle_of_it(text: str) -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        peer.error(text)
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert {type(error) for error in errors} == {AuthorizationError}
        assert (await (await server.accept()).expect("CONNECT")).fields  # made anew each time


async def test_a_publish_that_is_not_allowed() -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, _):
        asking = asyncio.create_task(nc.request("b", timeout=20))
        await peer.expect("PUB")
        peer.error('Permissions Violation for Publish to "b"')
        with pytest.raises(PermissionsViolation):
            await asking
        asking = asyncio.create_task(nc.request("c", timeout=20))
        reply = (await peer.expect("PUB")).words[2]
        peer.error(f'Permissions Violation for Publish with Reply of "{reply}"')
        with pytest.raises(PermissionsViolation):
            await asking
        nc.publish("b")
        peer.error('Permissions Violation for Publish to "b"')
        await nc.flush()
        assert [type(error) for error in errors] == [PermissionsViolation] * 3
        assert nc.is_connected


@pytest.mark.parametrize(
    ("tail", "ended"),
    [
        ("", [True, False, True]),
        (' using queue "q"', [False, True, False]),
        (' (sid "3")', [False, False, True]),
        (' using queue "q" (sid "2")', [False, True, False]),
        (", too many tokens", [True, False, True]),
    ],
)
async def test_a_subscription_that_is_not_allowed(tail: str, ended: list[bool]) -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, server):
        subscriptions = [await nc.subscribe("a", queue) for queue in ("", "q", "")]
        peer.error(f'Permissions Violation for Subscription to "a"{tail}')
        await nc.flush()
        assert [subscription.ended for subscription in subscriptions] == ended
        for subscription in subscriptions:
            if subscription.ended:
                with pytest.raises(PermissionsViolation):
                    await subscription.next_msg()
        assert len(errors) == 1
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        sids = [c.words[-1] for c in again.commands if c.verb == "SUB"]
        assert sids == [str(i) for i, gone in enumerate(ended, 1) if not gone]


@pytest.mark.parametrize("text", ["maximum subscriptions exceeded", "Invalid Subject"])
async def test_a_subscription_too_many(text: str) -> None:
    async with session() as (nc, peer, _):
        first, second, third = [await nc.subscribe(name) for name in "abc"]
        peer.error(text)
        peer.error(text)
        for subscription in (second, third):
            with pytest.raises(SubscriptionRefused):
                await subscription.next_msg()
        assert not first.ended
        assert nc.is_connected


@pytest.mark.parametrize(
    "text",
    [
        "maximum connections exceeded",
        "maximum account active connections exceeded",
        "Maximum Payload Violation",
        "maximum control line exceeded",
        "Unknown Protocol Operation",
        "Stale Connection",
        "Slow Consumer",
    ],
)
async def test_words_behind_which_the_server_closes(text: str) -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append, reconnect_time_wait=60) as (nc, peer, _):
        peer.error(text)
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)  # at once
        assert {str(error) for error in errors} == {f"server: {text}"}


async def test_a_server_that_is_full_is_asked_with_pauses() -> None:
    async with session(reconnect_time_wait=60) as (nc, peer, server):
        del server.answers["PING"]
        server.answers["CONNECT"] = b"-ERR 'maximum connections exceeded'\r\n"
        server.dialled.clear()
        peer.cut()
        await until(lambda: len(server.dialled) == 1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (len(server.dialled), nc.is_reconnecting) == (1, True)


@pytest.mark.parametrize("before", [b"", b"MSG a 1 100\r\nhalf of i"])
async def test_a_server_cuts_slow_consumers_off_without_a_word(before: bytes) -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, _):
        if before:
            peer.send(before)
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        assert [type(error) for error in errors] == [TransportError]
        assert "slow consumer" in str(errors[0])


@pytest.mark.parametrize("text", ["Something nobody has heard of", "", "Invalid Publish Subject"])
async def test_words_that_nobody_knows(text: str) -> None:
    errors: list[Exception] = []
    async with session(error_cb=errors.append) as (nc, peer, _):
        subscription = await nc.subscribe("a")
        peer.error(text)
        await nc.flush()
        assert [(type(e), str(e)) for e in errors] == [(ServerError, f"server: {text}")]
        assert (nc.is_connected, subscription.ended) == (True, False)
        peer.send(b"-ERR without quotes\r\n")
        await nc.flush()
        assert str(errors[-1]) == "server: without quotes"


# -- over a reconnect


async def test_what_the_old_connection_still_has_to_say() -> None:
    async with session() as (nc, peer, server):
        subscription = await nc.subscribe("a")
        old = peer._protocol
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        old.data_received(b"MSG a 1 3\r\nold\r\nINFO {}\r\n-ERR 'x'\r\nGARBAGE\r\n")
        old.connection_lost(None)
        (await server.accept()).message("a", b"new")
        assert (await subscription.next_msg()).data == b"new"
        assert nc.stats.reconnects == 1


async def test_only_what_never_left_is_sent_again() -> None:
    async with session() as (nc, peer, server):
        await peer.expect("PING")
        nc.publish("a", b"handed over, perhaps processed")
        peer.pause()
        nc.publish("a", b"never left")
        asking = asyncio.create_task(nc.flush())
        await asyncio.sleep(0)
        peer.cut()
        with pytest.raises(NotConnected):
            await asking
        await reached(nc, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        sent = [command.payload for command in again.commands if command.verb == "PUB"]
        assert sent == [b"never left"]


@pytest.mark.parametrize("arrived", [0, 1, 2])
async def test_a_count_that_the_server_begins_anew(arrived: int) -> None:
    async with session() as (nc, peer, server):
        subscription = await nc.subscribe("a", max_msgs=2)
        for _ in range(arrived):
            peer.message("a")
        await until(lambda: subscription.received == arrived)
        peer.cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        await nc.flush()
        lines = [c.line for c in again.commands if c.verb in {"SUB", "UNSUB"}]
        left = b"UNSUB 1 %d" % (2 - arrived)
        assert lines == ([b"SUB a 1", left] if arrived < 2 else [])


async def test_path_query_and_credentials_of_a_url_are_kept() -> None:
    server = ScriptedServer(info(connect_urls=["two:8080"]))
    async with client(server, "ws://u:p@one/nats?space=1") as nc:
        server.down = {"one"}
        (await server.accept()).cut()
        await reached(nc, Status.RECONNECTING, Status.CONNECTED)
        again = await server.accept()
        assert again.url.geturl() == "ws://u:p@two:8080/nats?space=1"
        assert nc.url == "ws://two:8080/nats?space=1"
        assert (await again.expect("CONNECT")).fields["user"] == "u"
