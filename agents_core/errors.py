"""Every error that agents-core raises.

One root, plain data on each error, one sentence as its text. Platform errors (`OSError`, a
browser's `DOMException`, nats-py's own) are translated to these once, where they enter.

    AgentsError
    ├── TransportError            the byte pipe: refused, reset, unknown host
    ├── ProtocolError             the peer sent what NATS does not allow
    ├── ServerError               the server's -ERR
    │   ├── AuthorizationError
    │   ├── PermissionsViolation
    │   └── SubscriptionRefused
    ├── InvalidCredentials        can't be read or used; nothing was sent
    ├── CredentialsUnavailable    the function that gives them failed; it may not the next time
    ├── NotConnected              no connection now; it may come back
    ├── ConnectionClosed          closed for good by this side
    │   └── SubscriptionEnded     that one; the connection may live on
    ├── OutboundBufferFull, MaxPayloadExceeded, InvalidSubject, InvalidHeader
    ├── NoResponders, SlowConsumer, CallbackCancelled
    ├── RequestTimeout
    │   └── MessageTimeout        `next_msg`, which asks nobody
    ├── ServiceError              a service's answer is an error (ADR-32)
    ├── InvalidService
    ├── Unsupported               this platform can't; says what to do instead
    ├── AgentError
    │   ├── InvalidAgentId, InvalidSpec
    │   ├── InvalidModule         Python that a page or a notebook gave; a class that is not there
    │   ├── InstallFailed         a wheel in a tab
    │   ├── AgentNotFound, AgentExists, AgentStopped, MailboxFull, AskTimeout
    │   ├── InvalidMessage, UnhandledMessage, EncodeError
    │   ├── RemoteError           a handler raised; type, message and traceback travel as text
    │   ├── RestartLimitReached
    │   └── HostLost, HostFull    another interpreter that runs agents
    └── StateError
        ├── InvalidKey
        ├── StateCorrupt
        └── StorageError
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar


class AgentsError(Exception):
    """Root of all errors of this project.

    Subclasses are dataclasses: their fields are the data, `template` is the sentence. Being plain
    data they can cross a node boundary by `name` and `data()`.
    """

    template: ClassVar[str] = ""

    def data(self) -> dict[str, object]:
        """The error's fields by name, in order of definition."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self.template.format(**self.data()) if self.template else super().__str__()


@dataclass(eq=False)
class TransportError(AgentsError):
    """The byte pipe to a server could not be opened, or broke."""

    url: str
    reason: str
    template: ClassVar[str] = "{url}: {reason}"


@dataclass(eq=False)
class ProtocolError(AgentsError):
    """The peer sent bytes that the NATS protocol does not allow; the connection is dropped."""

    reason: str
    template: ClassVar[str] = "NATS protocol: {reason}"


@dataclass(eq=False)
class ServerError(AgentsError):
    """The server answered `-ERR`; `text` is its own."""

    text: str
    template: ClassVar[str] = "server: {text}"


@dataclass(eq=False)
class AuthorizationError(ServerError):
    """The server refused the credentials, or they expired."""


@dataclass(eq=False)
class PermissionsViolation(ServerError):
    """The user may not publish or subscribe there; the connection stays.

    `queue` and `sid` name the subscription more closely where the server does.
    """

    operation: str = ""
    subject: str = ""
    queue: str = ""
    sid: str = ""


@dataclass(eq=False)
class SubscriptionRefused(ServerError):
    """The server has too many subscriptions of this user, or does not take the subject."""


@dataclass(eq=False)
class InvalidCredentials(AgentsError):
    """Credentials that can't be read or used; nothing was sent. The reason never repeats them."""

    reason: str
    template: ClassVar[str] = "credentials: {reason}"


@dataclass(eq=False)
class CredentialsUnavailable(AgentsError):
    """A function that gives credentials, `source`, failed; it is asked again for the next attempt.

    What it raised is the `__cause__`, and not in the text: it may name a secret.
    """

    source: str
    reason: str
    template: ClassVar[str] = "credentials: {source} {reason}"


@dataclass(eq=False)
class NotConnected(AgentsError):
    """There is no connection to the NATS server at this moment.

    A call that was already under way may or may not have been carried out by the other side.
    """

    url: str
    template: ClassVar[str] = "not connected to {url}"


@dataclass(eq=False)
class ConnectionClosed(AgentsError):
    """The connection was closed by this side and will not come back."""

    url: str = ""
    template: ClassVar[str] = "the connection is closed"


@dataclass(eq=False)
class SubscriptionEnded(ConnectionClosed):
    """A subscription has no more messages, and will get none; the connection may live on."""

    subject: str = ""
    template: ClassVar[str] = "the subscription to {subject!r} has ended"


@dataclass(eq=False)
class OutboundBufferFull(AgentsError):
    """More waits than may, most often to be sent; nothing of this message was sent."""

    limit: int
    what: str = "bytes"
    template: ClassVar[str] = "the outbound buffer is full ({limit} {what})"


@dataclass(eq=False)
class MaxPayloadExceeded(AgentsError):
    """Headers and payload together are larger than the server accepts; refused before sending."""

    size: int
    max_payload: int
    template: ClassVar[str] = "{size} bytes are more than the server's max_payload of {max_payload}"


@dataclass(eq=False)
class InvalidSubject(AgentsError):
    """Not a NATS subject: empty, an empty token, white space, or a wildcard where none may be."""

    subject: str
    reason: str = "not a subject"
    template: ClassVar[str] = "invalid subject {subject!r}: {reason}"


@dataclass(eq=False)
class InvalidHeader(AgentsError):
    """A header name or value that can't be sent (ADR-4)."""

    name: str
    reason: str
    template: ClassVar[str] = "invalid header {name!r}: {reason}"


@dataclass(eq=False)
class NoResponders(AgentsError):
    """Nobody subscribes to the subject of the request; known at once, not by a timeout."""

    subject: str
    template: ClassVar[str] = "no responders on {subject!r}"


@dataclass(eq=False)
class RequestTimeout(AgentsError, TimeoutError):
    """No reply within `timeout` seconds.

    The request may have been handled: the outcome is unknown.
    """

    subject: str
    timeout: float
    template: ClassVar[str] = "no reply on {subject!r} within {timeout} s; the outcome is unknown"


@dataclass(eq=False)
class MessageTimeout(RequestTimeout):
    """No message came to a subscription within `timeout` seconds."""

    template: ClassVar[str] = "no message on {subject!r} within {timeout} s"


@dataclass(eq=False)
class SlowConsumer(AgentsError):
    """A subscription's pending bound was reached and messages were dropped."""

    subject: str
    dropped: int
    template: ClassVar[str] = "slow consumer on {subject!r}: {dropped} messages dropped"


@dataclass(eq=False)
class CallbackCancelled(AgentsError):
    """A callback raised a `CancelledError` that was not meant for it: the `__cause__`."""

    template: ClassVar[str] = "a callback waited for something that was cancelled"


@dataclass(eq=False)
class ServiceError(AgentsError):
    """A service answers with an error (ADR-32); a handler raises it to do so.

    `code` is a whole number as text, which an int becomes; HTTP's are usual. `description` is text,
    which anything else becomes, such as the error behind it.
    """

    code: str
    description: str
    template: ClassVar[str] = "{code}: {description}"

    def __post_init__(self) -> None:
        self.code = str(self.code)
        self.description = str(self.description)


@dataclass(eq=False)
class InvalidService(AgentsError, ValueError):
    """A name, version, subject, … that a service or an endpoint can't have (ADR-32)."""

    field: str
    value: str
    reason: str
    template: ClassVar[str] = "invalid {field} {value!r} of a service: {reason}"


@dataclass(eq=False)
class Unsupported(AgentsError):
    """This platform can't do it; `instead` says what can be done."""

    feature: str
    instead: str
    template: ClassVar[str] = "{feature} is not available here: {instead}"


class AgentError(AgentsError):
    """Root of the errors about agents."""


@dataclass(eq=False)
class InvalidAgentId(AgentError):
    """An agent or node id is 1 to 128 of `A-Z a-z 0-9 _ -`, as it is one token of a subject."""

    value: str
    template: ClassVar[str] = "invalid id {value!r}: use 1 to 128 of A-Z a-z 0-9 _ -"


@dataclass(eq=False)
class InvalidSpec(AgentError):
    """A child or supervisor specification that can't work."""

    reason: str
    template: ClassVar[str] = "invalid specification: {reason}"


@dataclass(eq=False)
class InvalidModule(AgentError):
    """A module that can't be made or imported, or that has no such class.

    `type` and `message` are those of what was raised; `traceback` is text.
    """

    module: str
    type: str
    message: str
    traceback: str = ""
    template: ClassVar[str] = "module {module!r}: {type}: {message}"


@dataclass(eq=False)
class InstallFailed(AgentError):
    """A wheel that could not be installed in a tab, or one that it needs."""

    package: str
    reason: str
    template: ClassVar[str] = "{package} can't be installed: {reason}"


@dataclass(eq=False)
class AgentNotFound(AgentError):
    """No node that can be reached hosts this agent."""

    agent: str
    template: ClassVar[str] = "no agent {agent!r}"


@dataclass(eq=False)
class AgentExists(AgentError):
    """This node hosts an agent of that id already."""

    agent: str
    template: ClassVar[str] = "agent {agent!r} exists already"


@dataclass(eq=False)
class AgentStopped(AgentError):
    """The agent stopped before it handled the message."""

    agent: str
    template: ClassVar[str] = "agent {agent!r} has stopped"


@dataclass(eq=False)
class MailboxFull(AgentError):
    """The agent's mailbox holds `limit` messages; this one was not taken."""

    agent: str
    limit: int
    template: ClassVar[str] = "the mailbox of agent {agent!r} is full ({limit} messages)"


@dataclass(eq=False)
class AskTimeout(AgentError, TimeoutError):
    """No reply within `timeout` seconds.

    The message may have been handled: the outcome is unknown.
    """

    agent: str
    timeout: float
    template: ClassVar[str] = (
        "agent {agent!r} did not reply within {timeout} s; the outcome is unknown"
    )


@dataclass(eq=False)
class InvalidMessage(AgentError):
    """A message that does not fit the type it names, or is not a message at all."""

    reason: str
    template: ClassVar[str] = "invalid message: {reason}"


@dataclass(eq=False)
class UnhandledMessage(AgentError):
    """The agent has no handler for messages of this type; it goes on."""

    agent: str
    type: str
    template: ClassVar[str] = "agent {agent!r} has no handler for {type!r}"


@dataclass(eq=False)
class EncodeError(AgentError):
    """A value that has no JSON form can't leave the node."""

    type: str
    reason: str
    template: ClassVar[str] = "can't encode {type}: {reason}"


@dataclass(eq=False)
class RemoteError(AgentError):
    """The agent's handler raised.

    `traceback` is text, empty where the other side keeps it to itself.
    """

    agent: str
    type: str
    message: str
    traceback: str = ""
    template: ClassVar[str] = "agent {agent!r} raised {type}: {message}"


@dataclass(eq=False)
class RestartLimitReached(AgentError):
    """A supervisor gave up.

    More than `max_restarts` restarts within `max_seconds` (OTP rule I1).
    """

    supervisor: str
    max_restarts: float
    max_seconds: float
    template: ClassVar[str] = (
        "supervisor {supervisor!r} gave up: more than {max_restarts} restarts in {max_seconds} s"
    )


@dataclass(eq=False)
class HostLost(AgentError):
    """The interpreter that ran the agent is gone, or did not come up."""

    host: str
    reason: str
    template: ClassVar[str] = "host {host!r}: {reason}"


@dataclass(eq=False)
class HostFull(AgentError):
    """A host has as many of something as it may: agents, messages that wait, calls under way."""

    host: str
    limit: int
    what: str
    template: ClassVar[str] = "host {host!r} is full ({limit} {what})"


class StateError(AgentsError):
    """Root of the errors about state."""


@dataclass(eq=False)
class InvalidKey(StateError):
    """A state key is a non-empty string of at most `limit` bytes of UTF-8."""

    key: str
    limit: int
    template: ClassVar[str] = "invalid state key {key!r}: use 1 to {limit} bytes of UTF-8"


@dataclass(eq=False)
class StateCorrupt(StateError):
    """Stored bytes that fail their checksum or can't be read.

    They stay where they are; storing or deleting the key sets them aside first.
    """

    key: str
    reason: str
    template: ClassVar[str] = "state of {key!r} is corrupt: {reason}"


@dataclass(eq=False)
class StorageError(StateError):
    """The place where state is kept refused: full, read-only, or somebody else has it."""

    where: str
    reason: str
    template: ClassVar[str] = "state in {where}: {reason}"
