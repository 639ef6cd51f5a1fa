"""Consumers: make, change, look at, pause, reset and delete them; the names are nats-py's."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agents_core.ids import unique
from agents_core.nats.jetstream.api import API, check_name
from agents_core.nats.jetstream.consumer import (
    ConsumerConfig,
    ConsumerInfo,
    ConsumerPause,
    ConsumerReset,
)
from agents_core.nats.jetstream.errors import ConsumerMismatch
from agents_core.nats.jetstream.record import check_config
from agents_core.nats.jetstream.timestamp import from_datetime

_PAST = datetime(1970, 1, 1, tzinfo=UTC)


class ConsumerAPI(API):
    """What can be asked about consumers. Each call raises what `API.request` raises.

    A name that can't be one is refused by `InvalidName`.
    """

    async def add_consumer(
        self,
        stream: str,
        config: ConsumerConfig | None = None,
        timeout: float | None = None,
        **params: Any,
    ) -> ConsumerInfo:
        """Make a consumer, or change the one of that name.

        Args:
            stream: what it reads.
            config: what it is to be; without a name it gets one.
            timeout: seconds, instead of the usual ones.
            **params: fields of `ConsumerConfig`, instead of those of `config` or without it.

        Raises:
            StreamNotFound: there is no such stream.
            BadRequest: the configuration, or the change, can't be.
        """
        return await self._put_consumer(stream, config, timeout, params, "")

    async def create_consumer(
        self,
        stream: str,
        config: ConsumerConfig | None = None,
        timeout: float | None = None,
        **params: Any,
    ) -> ConsumerInfo:
        """Make a consumer; one that exists with the same configuration is as good.

        Raises:
            ConsumerExists: it exists with another configuration.
            and what `add_consumer` raises.
        """
        return await self._put_consumer(stream, config, timeout, params, "create")

    async def update_consumer(
        self,
        stream: str,
        config: ConsumerConfig | None = None,
        timeout: float | None = None,
        **params: Any,
    ) -> ConsumerInfo:
        """Change a consumer.

        What is None gets the server's default again, so begin with what there is:
        `(await js.consumer_info(stream, name)).config.evolve(max_deliver=5)`.

        Raises:
            ConsumerNotFound: there is none.
            and what `add_consumer` raises.
        """
        return await self._put_consumer(stream, config, timeout, params, "update")

    async def _put_consumer(
        self,
        stream: str,
        config: ConsumerConfig | None,
        timeout: float | None,
        params: dict[str, Any],
        action: str,
    ) -> ConsumerInfo:
        check_config(config, ConsumerConfig)
        wanted = (config or ConsumerConfig()).evolve(**params)
        name = check_name(wanted.name or wanted.durable_name or unique())
        operation = f"CONSUMER.CREATE.{check_name(stream)}.{name}"
        if wanted.filter_subject:
            operation = self.narrow(operation, wanted.filter_subject)
        body = {"stream_name": stream, "config": wanted.evolve(name=name).as_dict()}
        if action:
            body["action"] = action
        return ConsumerInfo.from_response(await self.request(operation, body, timeout))

    async def consumer_info(
        self, stream: str, consumer: str, timeout: float | None = None
    ) -> ConsumerInfo:
        """What a consumer is, and how far it has come.

        Raises:
            ConsumerNotFound, StreamNotFound: there is none.
        """
        operation = f"CONSUMER.INFO.{check_name(stream)}.{check_name(consumer)}"
        return ConsumerInfo.from_response(await self.request(operation, None, timeout))

    async def consumers_info(self, stream: str, offset: int | None = None) -> list[ConsumerInfo]:
        """Every consumer of a stream from `offset` on.

        In a cluster without those that no server describes now; `consumer_names` has these, too.

        Raises:
            StreamNotFound: there is no such stream.
        """
        operation = f"CONSUMER.LIST.{check_name(stream)}"
        found = await self.pages(operation, "consumers", {}, offset or 0)
        return [ConsumerInfo.from_response(info) for info in found]

    async def consumer_names(self, stream: str) -> list[str]:
        """The names of a stream's consumers.

        Raises:
            StreamNotFound: there is no such stream.
        """
        return await self.pages(f"CONSUMER.NAMES.{check_name(stream)}", "consumers", {})

    async def delete_consumer(self, stream: str, consumer: str) -> bool:
        """Delete a consumer; who pulls from it is told.

        Raises:
            ConsumerNotFound, StreamNotFound: there is none.
        """
        operation = f"CONSUMER.DELETE.{check_name(stream)}.{check_name(consumer)}"
        return bool((await self.request(operation)).get("success"))

    async def pause_consumer(
        self,
        stream: str,
        consumer: str,
        pause_until: datetime | str,
        timeout: float | None = None,
    ) -> ConsumerPause:
        """Deliver nothing until a moment, which as text is in RFC 3339.

        Raises:
            ConsumerNotFound, StreamNotFound: there is none.
        """
        operation = f"CONSUMER.PAUSE.{check_name(stream)}.{check_name(consumer)}"
        until = pause_until if isinstance(pause_until, str) else from_datetime(pause_until)
        answer = await self.request(operation, {"pause_until": until}, timeout)
        return ConsumerPause.from_response(answer)

    async def resume_consumer(
        self, stream: str, consumer: str, timeout: float | None = None
    ) -> ConsumerPause:
        """End a pause.

        Raises:
            ConsumerNotFound, StreamNotFound: there is none.
        """
        return await self.pause_consumer(stream, consumer, _PAST, timeout)

    async def reset_consumer(
        self, stream: str, consumer: str, seq: int | None = None, timeout: float | None = None
    ) -> ConsumerReset:
        """Forget what was delivered and go on from a sequence (ADR-60, server 2.14).

        Args:
            stream: what it reads.
            consumer: which one.
            seq: where to go on; None for behind the last message that was acknowledged.
            timeout: seconds, instead of the usual ones.

        Raises:
            ConsumerInvalidReset: its deliver policy does not allow that sequence.
            ConsumerNotFound, StreamNotFound: there is none.
        """
        await self.consumer_info(stream, consumer, timeout)  # one that is missing does not answer
        operation = f"CONSUMER.RESET.{stream}.{consumer}"
        body = {"seq": seq} if seq else None
        return ConsumerReset.from_response(await self.request(operation, body, timeout))

    async def unpin_consumer(
        self, stream: str, consumer: str, group: str, timeout: float | None = None
    ) -> None:
        """Let another client of a priority group be the pinned one (ADR-42).

        Raises:
            BadRequest: there is no such group.
            ConsumerNotFound, StreamNotFound: there is none.
        """
        operation = f"CONSUMER.UNPIN.{check_name(stream)}.{check_name(consumer)}"
        await self.request(operation, {"group": group}, timeout)


def check_filters(info: ConsumerInfo, wanted: ConsumerConfig) -> None:
    """Check that a consumer that exists reads what is wanted; one without a filter may.

    Raises:
        ConsumerMismatch: it reads something else.
    """
    filters, others = _filters(info.config), _filters(wanted)
    if filters and filters != others:
        raise ConsumerMismatch(info.name, f"it reads {filters}, not {others}")


def _filters(config: ConsumerConfig) -> list[str]:
    """What it reads of the stream; nothing stands for everything."""
    one = config.filter_subject
    return sorted(config.filter_subjects or ([one] if one else []))
