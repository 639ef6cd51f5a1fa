"""Every service answers who it is."""

from __future__ import annotations

from typing import Any

import pytest

from agents_core import LocalBus, jsonvalue
from agents_core.errors import InvalidService, NoResponders, RequestTimeout
from agents_core.nats.micro import verbs
from agents_core.nats.micro.responses import ServiceInfo, ServicePing, ServiceStats
from agents_core.nats.micro.verbs import Verbs

WHO = ("math", "ID1", "1.0.0")


class Fake:
    description = "adds up"

    def ping(self) -> ServicePing:
        return ServicePing(*WHO)

    def info(self) -> ServiceInfo:
        return ServiceInfo(*WHO, description=self.description)

    def stats(self) -> ServiceStats:
        return ServiceStats(*WHO)


@pytest.mark.parametrize("verb", ["PING", "INFO", "STATS"])
async def test_every_verb_is_answered_alone_by_name_and_by_id(verb: str) -> None:
    bus, service = LocalBus(), Fake()
    found = Verbs(bus, service)
    await found.start()
    expected = getattr(service, verb.lower())().to_dict()

    async def ask(subject: str) -> Any:
        return jsonvalue.loads((await bus.request(subject)).data)

    for target in ((), ("math",), ("math", "ID1")):
        assert await ask(verbs.subject(verb, *target)) == expected
    for target in (("other",), ("math", "ID2")):
        with pytest.raises(NoResponders):
            await ask(verbs.subject(verb, *target))
    bus.publish(f"$SRV.{verb}")  # without a reply there is nobody to tell
    await bus.flush()
    found.end()
    with pytest.raises(NoResponders):
        await ask(f"$SRV.{verb}")
    await bus.close()


async def test_an_answer_that_is_too_large_is_said_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, service = LocalBus(), Fake()
    await Verbs(bus, service).start()
    service.description = "x" * bus.max_payload
    with pytest.raises(RequestTimeout):
        await bus.request("$SRV.INFO", timeout=0.01)
    assert "$SRV.INFO can't be answered" in caplog.text
    await bus.request("$SRV.PING")
    await bus.close()


def test_the_subjects() -> None:
    assert verbs.subject("PING") == "$SRV.PING"
    assert verbs.subject("PING", "a") == "$SRV.PING.a"
    assert verbs.subject("PING", "a", "b", "other") == "other.PING.a.b"
    for name, id in (("a.b", ""), ("*", ""), ("a", ">"), ("", "b"), ("a", "b c")):
        with pytest.raises(InvalidService):
            verbs.subject("PING", name, id)
