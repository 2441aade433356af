"""No error of aiohttp is left without one of httpx's."""

import inspect

import aiohttp
import httpx
import pytest
from aiohttp import client_exceptions

from tollway_workers.providers.http.transport_errors import (
    BEFORE_HEADERS,
    BODY,
    ErrorTable,
    translated,
)

HOST = "api.example"

#: Left to the last row of a table, each for its reason.
UNREACHABLE = {
    "ClientError": "the root itself; always raised as one of its kinds",
    "RedirectClientError": "redirects are never followed",
    "UploadAbortedError": "no upload tracker is passed",
    "WSMessageTypeError": "no web sockets",
}
#: These come while a connection is made or a head is read, so never with a body.
BEFORE_ANY_BODY = {"InvalidURL", "InvalidUrlClientError", "NonHttpUrlClientError"}


def _errors() -> list[type[Exception]]:
    return [
        each
        for _, each in inspect.getmembers(client_exceptions, inspect.isclass)
        if issubclass(each, Exception) and each.__module__.startswith("aiohttp")
    ]


def _row(table: ErrorTable, error: type[Exception]) -> type[Exception] | None:
    return next((foreign for foreign, _, _ in table if issubclass(error, foreign)), None)


@pytest.mark.parametrize("error", _errors(), ids=lambda error: error.__name__)
def test_each_error_of_aiohttp_has_a_row_of_its_own_kind(error: type[Exception]) -> None:
    name = error.__name__

    if name not in UNREACHABLE:
        assert _row(BEFORE_HEADERS, error) not in (None, aiohttp.ClientError, ValueError)
    redirected = issubclass(error, aiohttp.RedirectClientError)
    if name not in UNREACHABLE | dict.fromkeys(BEFORE_ANY_BODY) and not redirected:
        assert _row(BODY, error) not in (None, aiohttp.ClientError)


@pytest.mark.parametrize("table", [BEFORE_HEADERS, BODY], ids=["before headers", "body"])
def test_no_row_hides_a_later_one(table: ErrorTable) -> None:
    kinds = [foreign for foreign, _, _ in table]

    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place]), kind


def test_only_errors_that_are_sure_say_that_nothing_was_sent() -> None:
    unsent = {
        foreign.__name__
        for foreign, ours, _ in BEFORE_HEADERS
        if issubclass(ours, httpx.ConnectError | httpx.ConnectTimeout)
    }

    assert unsent == {"ConnectionTimeoutError", "ServerConnectionError", "ClientConnectorError"}


def test_a_text_names_the_host_and_nothing_of_the_address_or_the_answer() -> None:
    quoting = aiohttp.ClientPayloadError("https://api.example/v1?key=SECRET said SECRET")

    error = translated(quoting, BODY, HOST)

    assert str(error) == "api.example: the answer was cut short"


def test_what_no_table_names_passes_unchanged() -> None:
    with pytest.raises(KeyError):
        translated(KeyError("ours"), BODY, HOST)
