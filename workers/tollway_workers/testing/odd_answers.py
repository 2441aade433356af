"""Answers that no provider documents and that every provider has given. Data."""

from collections.abc import Mapping

from tollway_workers.testing.case import Answer

_PAGE = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
_HTML = {"content-type": "text/html"}

#: By name. None of them holds an answer.
ODD_ANSWERS: Mapping[str, Answer] = {
    "nothing": Answer(body=""),
    "nothing with an error": Answer(status=500, body=""),
    "a web page": Answer(body=_PAGE, headers=_HTML),
    "a web page with an error": Answer(status=502, body=_PAGE, headers=_HTML),
    "a web page of another kind of error": Answer(status=400, body=_PAGE, headers=_HTML),
    "a text": Answer(body="OK"),
    "a text with an error": Answer(status=503, body="upstream connect error or disconnect"),
    "null": Answer(body=None),
    "a number": Answer(body=17),
    "a string": Answer(body='"no"'),
    "a list": Answer(body=[]),
    "a list of errors": Answer(status=400, body=[{"error": {"message": "no", "code": 400}}]),
    "an object without anything": Answer(body={}),
    "an object of another kind": Answer(body={"models": [], "object": "list"}),
    "an error as a text": Answer(status=401, body={"error": "Unauthorized"}),
    "an error without an envelope": Answer(
        status=422, body={"detail": [{"loc": ["a"], "msg": "b"}]}
    ),
    "an error that is null": Answer(status=500, body={"error": None}),
    "an error with a success": Answer(body={"error": {"message": "overloaded", "code": 529}}),
    "an error in an error": Answer(status=500, body={"error": {"error": {"error": "deep"}}}),
    "a status that nobody knows": Answer(status=799, body={"error": {"message": "what"}}),
    "a redirect": Answer(status=302, headers={"location": "https://elsewhere.example"}, body=""),
    "half of JSON": Answer(body='{"id": "1", "content": ['),
    "JSON nested beyond reason": Answer(body="[" * 5_000 + "]" * 5_000),
    "bytes that are no text": Answer(body="\ufffd\u0000\ufffd"),
    "a stream without events": Answer(events=()),
    "a stream of comments": Answer(events=(": one", ": two")),
    "a stream of texts": Answer(events=({"data": "hello"}, {"data": "world"})),
    "a stream that ends in an error": Answer(
        events=({"event": "error", "data": {"error": {"message": "no", "type": "api_error"}}},)
    ),
    "a stream of another API": Answer(events=({"data": {"token": {"text": "a"}}},)),
}
