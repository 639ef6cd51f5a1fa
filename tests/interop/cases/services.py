"""Services (ADR-32): defined on one side, found and asked from the other."""

from __future__ import annotations

from typing import Any

from agents_core import nats
from agents_core.errors import ServiceError
from agents_core.ids import unique
from agents_core.nats import micro
from tests.interop.cases.case import Case, NatsJs


async def our_service(nc: nats.Client, js: NatsJs) -> None:
    """nats.js finds our service, reads what it says, asks it and gets its errors."""
    name, subject = f"ours-{unique()}", unique()

    def double(request: micro.Request) -> None:
        if not request.data:
            raise ServiceError("400", "nothing to double ✓")
        request.respond(request.data * 2)

    service = await micro.add_service(
        nc, name=name, version="1.2.3", description="doubles", metadata={"zone": "a"}
    )
    group = service.add_group(name=subject)
    await group.add_endpoint(name="double", handler=double, metadata={"unit": "none"})
    await nc.flush()
    found: dict[str, Any] = await js.run(
        """
        const client = new nats.Svcm(nc).client();
        const reply = await nc.request(`${s}.double`, "ab");
        const error = nats.ServiceError.toServiceError(await nc.request(`${s}.double`));
        return {
          reply: reply.string(), noError: nats.ServiceError.isServiceError(reply),
          code: error.code, description: error.message,
          ping: await collect(client.ping(name)), info: await collect(client.info(name)),
          stats: await collect(client.stats(name)),
          everybody: (await collect(client.ping())).map((answer) => answer.id),
        };
        """,
        name=name,
        s=subject,
    )
    assert (found["reply"], found["noError"]) == ("abab", False)
    assert (found["code"], found["description"]) == (400, "nothing to double ✓")
    assert found["ping"] == [service.ping().to_dict()]
    assert found["info"] == [service.info().to_dict()]
    assert found["stats"] == [service.stats().to_dict()]
    assert service.id in found["everybody"]
    (counters,) = service.stats().endpoints
    assert (counters.num_requests, counters.num_errors) == (2, 1)
    await service.stop()


async def a_service_of_js(nc: nats.Client, js: NatsJs) -> None:
    """We find a service of nats.js, read what it says, ask it and get its errors."""
    name, subject = f"theirs-{unique()}", unique()
    id = await js.run(
        """
        kept.service = await new nats.Svcm(nc).add({
          name, version: "0.1.0", description: "a peer's", metadata: { zone: "b" },
          statsHandler: async () => ({ good: true }),
        });
        const handler = (_, msg) => {
          if (!msg.data.length) throw new nats.ServiceError(400, "nothing to double ✓");
          msg.respond(msg.string().repeat(2));
        };
        const group = kept.service.addGroup(s);
        group.addEndpoint("double", { handler, metadata: { unit: "none" } });
        await nc.flush();
        return kept.service.info().id;
        """,
        name=name,
        s=subject,
    )
    (ping,) = await micro.ping(nc, name, id)
    assert (ping.name, ping.version, ping.metadata) == (name, "0.1.0", {"zone": "b"})
    assert ping in await micro.ping(nc)
    (info,) = await micro.info(nc, name, id)
    assert info.description == "a peer's"
    (endpoint,) = info.endpoints
    assert (endpoint.name, endpoint.subject) == ("double", f"{subject}.double")
    assert (endpoint.queue_group, endpoint.metadata) == ("q", {"unit": "none"})
    reply = await nc.request(f"{subject}.double", b"ab", 5)
    assert (reply.data, micro.error_of(reply)) == (b"abab", None)
    error = micro.error_of(await nc.request(f"{subject}.double", b"", 5))
    assert error is not None
    assert (error.code, error.description) == ("400", "nothing to double ✓")
    (stats,) = await micro.stats(nc, name, id)
    (counters,) = stats.endpoints
    assert (counters.num_requests, counters.num_errors) == (2, 1)
    assert (counters.last_error, counters.data) == ("nothing to double ✓", {"good": True})
    await js.run("await kept.service.stop()")
    assert await micro.ping(nc, name) == []


CASES: list[Case] = [our_service, a_service_of_js]
