"""Streams: make, change, look at, empty and delete them; the names are nats-py's."""

from __future__ import annotations

from typing import Any

from agents_core.nats.jetstream.api import API, PAGES_MAX, check_name
from agents_core.nats.jetstream.errors import InvalidAnswer, StreamNotFound
from agents_core.nats.jetstream.record import check_config
from agents_core.nats.jetstream.stream import StreamConfig, StreamInfo
from agents_core.nats.subject import check_subject


class StreamAPI(API):
    """What can be asked about streams. Each call raises what `API.request` raises.

    A name that can't be one is refused by `InvalidName`.
    """

    async def add_stream(self, config: StreamConfig | None = None, **params: Any) -> StreamInfo:
        """Make a stream; one that exists with the same configuration is as good.

        Args:
            config: what it is to be.
            **params: fields of `StreamConfig`, instead of those of `config` or without it.

        Raises:
            StreamNameInUse: it exists with another configuration.
            BadRequest: the configuration can't be.
        """
        return await self._put_stream("CREATE", config, params)

    async def update_stream(self, config: StreamConfig | None = None, **params: Any) -> StreamInfo:
        """Change a stream.

        What is None gets the server's default again, so begin with what there is:
        `(await js.stream_info(name)).config.evolve(max_msgs=10)`.

        Raises:
            StreamNotFound: there is none.
            APIError: the change can't be made.
        """
        return await self._put_stream("UPDATE", config, params)

    async def _put_stream(
        self, operation: str, config: StreamConfig | None, params: dict[str, Any]
    ) -> StreamInfo:
        check_config(config, StreamConfig)
        wanted = (config or StreamConfig()).evolve(**params)
        name = check_name(wanted.name)
        return StreamInfo.from_response(
            await self.request(f"STREAM.{operation}.{name}", wanted.as_dict())
        )

    async def stream_info(
        self, name: str, subjects_filter: str | None = None, *, deleted_details: bool = False
    ) -> StreamInfo:
        """What a stream is and holds.

        Args:
            name: the stream.
            subjects_filter: count the messages of each subject that matches, in `state.subjects`.
            deleted_details: list the deleted sequences, in `state.deleted`.

        Raises:
            StreamNotFound: there is none.
        """
        operation = f"STREAM.INFO.{check_name(name)}"
        body: dict[str, Any] = {"deleted_details": True} if deleted_details else {}
        if not subjects_filter:
            return StreamInfo.from_response(await self.request(operation, body or None))
        body["subjects_filter"] = subjects_filter
        subjects: dict[str, int] = {}
        for _ in range(PAGES_MAX):
            answer = await self.request(operation, {**body, "offset": len(subjects)})
            total = answer.pop("total", 0)
            answer.pop("offset", None)
            answer.pop("limit", None)
            info = StreamInfo.from_response(answer)
            page = info.state.subjects or {}
            subjects |= page
            if not page or len(subjects) >= total:
                info.state.subjects = subjects
                return info
        raise InvalidAnswer(operation, f"more than {PAGES_MAX} pages")

    async def streams_info(self, offset: int = 0) -> list[StreamInfo]:
        """Every stream from `offset` on.

        In a cluster without those that no server describes now, as all that have them are down;
        `stream_names` has these, too.
        """
        found = await self.pages("STREAM.LIST", "streams", {}, offset)
        return [StreamInfo.from_response(info) for info in found]

    async def stream_names(self, subject: str | None = None) -> list[str]:
        """The names of all streams, or of those that store what matches `subject`."""
        body = {"subject": subject} if subject else {}
        return await self.pages("STREAM.NAMES", "streams", body)

    async def find_stream_name_by_subject(self, subject: str) -> str:
        """The stream that stores what is published on `subject`.

        Raises:
            StreamNotFound: none does.
            InvalidSubject: it is no subject; nothing would match every stream.
        """
        check_subject(subject, wildcards=True)
        names = await self.stream_names(subject)
        if not names:
            raise StreamNotFound(404, 0, f"no stream stores {subject!r}")
        return names[0]

    async def delete_stream(self, name: str) -> bool:
        """Delete a stream with everything in it.

        Raises:
            StreamNotFound: there is none.
        """
        return await self._done(f"STREAM.DELETE.{check_name(name)}", None)

    async def purge_stream(
        self,
        name: str,
        seq: int | None = None,
        subject: str | None = None,
        keep: int | None = None,
    ) -> bool:
        """Delete messages of a stream (ADR-10).

        Args:
            name: the stream.
            seq: only those before this sequence; none for 0 or 1.
            subject: only those whose subject matches.
            keep: all but the newest so many; not together with `seq`.

        Raises:
            StreamNotFound: there is none.
            InvalidSubject: it is no subject; an empty one would delete everything.
        """
        if subject is not None:
            check_subject(subject, wildcards=True)
        before = None if seq is None else max(seq, 1)  # the server takes 0 for all
        wanted = {"seq": before, "filter": subject, "keep": keep}
        body = {key: value for key, value in wanted.items() if value}
        return await self._done(f"STREAM.PURGE.{check_name(name)}", body)

    async def _done(self, operation: str, body: dict[str, Any] | None) -> bool:
        return bool((await self.request(operation, body)).get("success"))
