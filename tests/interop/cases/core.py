"""Core NATS: publish, subscribe, request, headers, queue groups."""

from __future__ import annotations

import asyncio

from agents_core import nats
from agents_core.errors import NoResponders
from agents_core.ids import unique
from tests.interop.cases.case import Case, NatsJs

HEADERS = {
    "One": ["value"],
    "Two": ["first", "second", "first"],
    "lower-case": ["kept as it is"],
    "Unicode": ["héllo ✓ 日本語 🙂"],
    "Empty": [""],
    "Colon": ["a: b"],
}
PAYLOADS = [b"", b"hello", "héllo ✓".encode(), b"\r\nPING\r\n", bytes(range(256))]
LARGE = 1_000_000


async def messages_from_js(nc: nats.Client, js: NatsJs) -> None:
    """Payloads of any bytes arrive, in order, with their subject and reply."""
    subject = unique()
    subscription = await nc.subscribe(f"{subject}.*")
    await nc.flush()
    await js.run(
        "for (const text of texts) nc.publish(`${s}.a`, bytes(text), { reply: 'answer.here' })",
        s=subject,
        texts=[payload.decode("latin-1") for payload in PAYLOADS],
    )
    found = [await subscription.next_msg(5) for _ in PAYLOADS]
    assert [msg.data for msg in found] == PAYLOADS
    assert {(msg.subject, msg.reply) for msg in found} == {(f"{subject}.a", "answer.here")}
    assert not any(msg.headers for msg in found)


async def messages_to_js(nc: nats.Client, js: NatsJs) -> None:
    """The same the other way."""
    subject = unique()
    await js.run("kept.messages = nc.subscribe(`${s}.>`); await nc.flush()", s=subject)
    for payload in PAYLOADS:
        nc.publish(f"{subject}.a.b", payload, "answer.here")
    found = await js.run("return await take(kept.messages, n)", n=len(PAYLOADS))
    assert [msg["data"].encode("latin-1") for msg in found] == PAYLOADS
    assert {(msg["subject"], msg["reply"]) for msg in found} == {(f"{subject}.a.b", "answer.here")}


async def large_payloads(nc: nats.Client, js: NatsJs) -> None:
    """A megabyte there and back, not a byte changed."""
    subject = unique()
    await js.run(
        "nc.subscribe(s, { callback: (_, msg) => msg.respond(msg.data.reverse()) }); nc.flush()",
        s=subject,
    )
    payload = (bytes(range(251)) * (LARGE // 251 + 1))[:LARGE]
    assert (await nc.request(subject, payload, 10)).data == payload[::-1]


async def headers_from_js(nc: nats.Client, js: NatsJs) -> None:
    """Several values per name, any Unicode text, names as they are."""
    subject = unique()
    subscription = await nc.subscribe(subject)
    await nc.flush()
    await js.run(
        """
        const headers = nats.headers();
        for (const [name, values] of Object.entries(all))
          for (const value of values) headers.append(name, value);
        nc.publish(s, "x", { headers });
        """,
        s=subject,
        all=HEADERS,
    )
    msg = await subscription.next_msg(5)
    assert {name: msg.headers.get_all(name) for name in msg.headers} == HEADERS
    assert (msg.data, msg.status, msg.headers.corrupt) == (b"x", 0, False)


async def headers_to_js(nc: nats.Client, js: NatsJs) -> None:
    """The same the other way."""
    subject = unique()
    await js.run("kept.headers = nc.subscribe(s); await nc.flush()", s=subject)
    nc.publish(subject, b"x", headers=HEADERS)
    (msg,) = await js.run("return await take(kept.headers, 1)")
    assert msg["headers"] == HEADERS
    assert msg["data"] == "x"


async def requests_from_js(nc: nats.Client, js: NatsJs) -> None:
    """nats.js asks, many at once; we answer with headers."""
    subject = unique()

    async def answer(msg: nats.Msg) -> None:
        await asyncio.sleep(0)
        await msg.respond(msg.data * 2, headers={"Length": str(len(msg.data))})

    await nc.subscribe(subject, cb=answer)
    await nc.flush()
    found = await js.run(
        """
        const asked = [...Array(50).keys()].map((n) => nc.request(s, `${n}`, { timeout: 5000 }));
        return (await Promise.all(asked)).map(plain);
        """,
        s=subject,
    )
    assert [msg["data"] for msg in found] == [str(n) * 2 for n in range(50)]
    assert found[10]["headers"] == {"Length": ["2"]}


async def requests_to_js(nc: nats.Client, js: NatsJs) -> None:
    """We ask, many at once; nats.js answers with headers."""
    subject = unique()
    await js.run(
        """
        nc.subscribe(s, { callback: (_, msg) => {
          const headers = nats.headers();
          headers.set("Length", `${msg.data.length}`);
          msg.respond(msg.string().repeat(2), { headers });
        } });
        await nc.flush();
        """,
        s=subject,
    )
    found = await asyncio.gather(*(nc.request(subject, str(n).encode(), 5) for n in range(50)))
    assert [msg.data.decode() for msg in found] == [str(n) * 2 for n in range(50)]
    assert dict(found[10].headers) == {"Length": "2"}


async def no_responders(nc: nats.Client, js: NatsJs) -> None:
    """Who asks where nobody listens is told at once, on both sides."""
    subject = unique()
    (error,) = await asyncio.gather(nc.request(subject, timeout=60), return_exceptions=True)
    assert isinstance(error, NoResponders)
    assert error.subject == subject
    code = """
        try { await nc.request(s, "", { timeout: 60000 }) }
        catch (error) { return error.isNoResponders?.() ?? false }
    """
    assert await js.run(code, s=subject) is True


async def queue_groups(nc: nats.Client, js: NatsJs) -> None:
    """Members of one group on both sides share the messages, whoever sends them."""
    subject, ours = unique(), 0

    def count(_: nats.Msg) -> None:
        nonlocal ours
        ours += 1

    await nc.subscribe(subject, "group", count)
    await js.run(
        """
        kept.count = 0;
        nc.subscribe(s, { queue: "group", callback: () => { kept.count += 1 } });
        await nc.flush();
        """,
        s=subject,
    )
    for _ in range(100):
        nc.publish(subject)
    await nc.flush()
    theirs = await js.run(
        """
        for (let n = 0; n < 100; n += 1) nc.publish(s);
        await nc.flush();
        return kept.count;
        """,
        s=subject,
    )
    await nc.flush()
    assert ours + theirs == 200, f"{ours} here, {theirs} there"
    assert ours > 0
    assert theirs > 0


async def counted_subscriptions(nc: nats.Client, js: NatsJs) -> None:
    """A subscription that ends by itself after some messages does so on both sides."""
    subject = unique()
    mine = await nc.subscribe(subject, max_msgs=3)
    await js.run("kept.counted = nc.subscribe(s, { max: 3 }); await nc.flush()", s=subject)
    for _ in range(5):
        nc.publish(subject)
    assert len([msg async for msg in mine]) == 3
    assert await js.run("return (await collect(kept.counted)).length") == 3


CASES: list[Case] = [
    messages_from_js,
    messages_to_js,
    large_payloads,
    headers_from_js,
    headers_to_js,
    requests_from_js,
    requests_to_js,
    no_responders,
    queue_groups,
    counted_subscriptions,
]
