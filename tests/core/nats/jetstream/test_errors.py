"""Errors by the server's codes."""

from __future__ import annotations

import pytest

from agents_core.errors import AgentsError
from agents_core.nats.jetstream import errors
from agents_core.nats.jetstream.kv_errors import KeyDeleted, KeyNotFound
from agents_core.nats.jetstream.object_errors import ObjectDeleted, ObjectNotFound


@pytest.mark.parametrize(
    ("code", "err_code", "kind"),
    [
        (404, 10059, errors.StreamNotFound),
        (404, 10014, errors.ConsumerNotFound),
        (404, 10037, errors.MessageNotFound),
        (400, 10071, errors.WrongLastSequence),
        (400, 10164, errors.WrongLastSequence),
        (503, 10076, errors.JetStreamNotEnabled),
        (503, 10039, errors.JetStreamNotEnabled),
        (404, 1, errors.NotFound),
        (400, 1, errors.BadRequest),
        (503, 10008, errors.ServiceUnavailable),
        (500, 1, errors.ServerFault),
        (412, 0, errors.ApiLevelRequired),
        (429, 0, errors.TooManyRequests),
        (499, 1, errors.APIError),
    ],
)
def test_codes(code: int, err_code: int, kind: type[errors.APIError]) -> None:
    error = errors.api_error({"code": code, "err_code": err_code, "description": "why"})
    assert type(error) is kind
    assert isinstance(error, errors.APIError)
    assert isinstance(error, AgentsError)
    assert str(error) == f"why (code {code}, err_code {err_code})"
    assert error.data() == {"code": code, "err_code": err_code, "description": "why"}


@pytest.mark.parametrize(
    "error",
    [
        errors.BucketNotFound("b"),
        KeyNotFound("b", "key"),
        KeyDeleted("b", "key", "DEL", 3),
        ObjectNotFound("b", "name"),
        ObjectDeleted("b", "name"),
    ],
)
def test_whatever_is_not_there_is_not_found(error: errors.NotFound) -> None:
    assert isinstance(error, errors.NotFound)
    assert (error.code, error.err_code, error.description) == (404, 0, "")
    assert "'b'" in str(error)


@pytest.mark.parametrize("said", [None, [], {}, {"code": "404", "err_code": None}])
def test_an_error_that_says_nothing(said: object) -> None:
    error = errors.api_error(said)
    assert (type(error), error.code, error.err_code) == (errors.APIError, 0, 0)


def test_every_error_has_a_sentence() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    for kind in kinds:
        if issubclass(kind, errors.JetStreamError) and kind is not errors.JetStreamError:
            assert kind.template
