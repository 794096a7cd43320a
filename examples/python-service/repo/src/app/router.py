"""Requests, responses and routes on top of WSGI."""

import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Callable, Dict, List, Optional, Tuple

MAX_BODY = 64 * 1024


class HTTPError(Exception):
    """Raised by a handler; becomes ``{"error": message}`` with this status."""

    def __init__(self, status: int, message: str, headers: Optional[Dict[str, str]] = None):
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}


@dataclass
class Request:
    method: str
    path: str
    headers: Dict[str, str] = field(default_factory=dict)  # names in lower case
    body: bytes = b""
    params: Dict[str, str] = field(default_factory=dict)

    def json(self) -> Dict[str, Any]:
        """The body as a JSON object; anything else is the client's mistake."""
        try:
            value = json.loads(self.body.decode("utf-8"))
        except ValueError:
            raise HTTPError(400, "the body is not JSON") from None
        if not isinstance(value, dict):
            raise HTTPError(400, "the body is not a JSON object")
        return value


@dataclass
class Response:
    value: Any = None  # None: no body
    status: int = 200
    headers: Dict[str, str] = field(default_factory=dict)


Handler = Callable[[Request], Response]


class Router:
    """A WSGI application. ``/users/{id}`` matches one segment and names it."""

    def __init__(self) -> None:
        self._routes: List[Tuple[str, List[str], Handler]] = []

    def add(self, method: str, path: str, handler: Handler) -> None:
        segments = _segments(path)
        if any(m == method and s == segments for m, s, _ in self._routes):
            raise ValueError(f"two handlers for {method} {path}")
        self._routes.append((method, segments, handler))

    def dispatch(self, request: Request) -> Response:
        allowed = set()
        for method, pattern, handler in self._routes:
            params = _match(pattern, _segments(request.path))
            if params is None:
                continue
            if method == request.method:
                request.params = params
                return handler(request)
            allowed.add(method)
        if allowed:
            raise HTTPError(405, "method not allowed", {"Allow": ", ".join(sorted(allowed))})
        raise HTTPError(404, "not found")

    def __call__(self, environ, start_response):
        try:
            response = self.dispatch(_read(environ))
        except HTTPError as error:
            response = Response({"error": error.message}, error.status, error.headers)
        status = HTTPStatus(response.status)
        headers = dict(response.headers)
        body = b""
        if response.value is not None:
            body = json.dumps(response.value).encode("utf-8")
            headers["Content-Type"] = "application/json"
            headers["Content-Length"] = str(len(body))
        start_response(f"{status.value} {status.phrase}", list(headers.items()))
        return [body] if body else []


def _segments(path: str) -> List[str]:
    return path.strip("/").split("/")


def _match(pattern: List[str], segments: List[str]) -> Optional[Dict[str, str]]:
    if len(pattern) != len(segments):
        return None
    params = {}
    for expected, actual in zip(pattern, segments):
        if expected.startswith("{") and expected.endswith("}") and actual:
            params[expected[1:-1]] = actual
        elif expected != actual:
            return None
    return params


def _read(environ) -> Request:
    try:
        length = int(environ.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise HTTPError(400, "bad Content-Length") from None
    if length < 0:
        raise HTTPError(400, "bad Content-Length")
    if length > MAX_BODY:
        raise HTTPError(413, "the body is too large")
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    body = environ["wsgi.input"].read(length) if length else b""
    return Request(environ["REQUEST_METHOD"], environ.get("PATH_INFO", "/"), headers, body)
