"""The subjects on which every service is asked who it is: `$SRV.PING`, `INFO`, `STATS` (ADR-32)."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Protocol

from agents_core import jsonvalue
from agents_core.errors import AgentsError, InvalidService
from agents_core.nats.micro.responses import ServiceInfo, ServicePing, ServiceStats
from agents_core.nats.msg import Msg

if TYPE_CHECKING:
    from agents_core.bus import Bus, Subscription

PREFIX = "$SRV"
"""The beginning of all of them. Tools that ask across accounts use another one."""

_NAME = re.compile(r"[A-Za-z0-9_-]+")
_VERBS = ("PING", "INFO", "STATS")
_log = logging.getLogger("agents_core.nats.micro")


class Described(Protocol):
    """A service that can say who it is."""

    def ping(self) -> ServicePing:
        """Its identity."""
        ...

    def info(self) -> ServiceInfo:
        """Its description."""
        ...

    def stats(self) -> ServiceStats:
        """Its counters."""
        ...


def check_name(field: str, name: str) -> None:
    """Check a name of a service, an endpoint or an instance: it is one token of a subject.

    Raises:
        InvalidService: it is not of `A-Z a-z 0-9 _ -`, or empty.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidService(field, str(name), "use A-Z a-z 0-9 _ -")


def subject(verb: str, name: str = "", id: str = "", prefix: str = PREFIX) -> str:
    """Where all services, those of a name, or one instance are asked.

    Raises:
        InvalidService: a name or an id that can't be one, or an id without a name.
    """
    if name or id:
        check_name("name", name)
    if id:
        check_name("id", id)
    return ".".join(token for token in (prefix, verb, name, id) if token)


class Verbs:
    """Answers the verbs for one service: alone, by name, and by name and id.

    In no queue group, so that every instance answers.
    """

    def __init__(self, bus: Bus, service: Described) -> None:
        self._bus = bus
        self._answers = dict(zip(_VERBS, (service.ping, service.info, service.stats), strict=True))
        self._subscriptions: list[Subscription] = []

    async def start(self) -> None:
        """Answer from now on; see `Bus.subscribe` for what it raises."""
        who = self._answers["PING"]()
        targets = [(), (who.name,), (who.name, who.id)]
        try:
            for asked in (subject(verb, *target) for verb in _VERBS for target in targets):
                subscription = await self._bus.subscribe(asked, cb=self._answer)
                self._subscriptions.append(subscription)
        except BaseException:  # whoever gives up waiting has nothing to end them by
            self.end()
            raise

    def end(self) -> None:
        """Answer no more."""
        for subscription in self._subscriptions:
            subscription.end()

    def _answer(self, msg: Msg) -> None:
        if not msg.reply:
            return  # there is nobody to tell
        try:
            msg.respond(jsonvalue.dumps(self._answers[msg.subject.split(".")[1]]().to_dict()))
        except AgentsError as error:  # larger than max_payload, or the buffer is full
            _log.warning("%s can't be answered: %s", msg.subject, error)
