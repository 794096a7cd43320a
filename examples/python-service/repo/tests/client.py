"""Calls a WSGI application without a socket, and checks that both sides keep to WSGI."""

import io
import json
from typing import Any, Dict, NamedTuple, Optional
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator


class Answer(NamedTuple):
    status: int
    headers: Dict[str, str]
    value: Any


class Client:
    def __init__(self, app):
        self._app = validator(app)

    def request(
        self, method: str, path: str, value: Any = None, token: Optional[str] = None,
        body: Optional[bytes] = None,
    ) -> Answer:
        if body is None:
            body = b"" if value is None else json.dumps(value).encode("utf-8")
        environ = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.input": io.BytesIO(body),
        }
        if token is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        setup_testing_defaults(environ)
        started = {}

        def start_response(status, headers, exc_info=None):
            started["status"] = int(status.split()[0])
            started["headers"] = dict(headers)
            return lambda data: None

        chunks = self._app(environ, start_response)
        try:
            content = b"".join(chunks)
        finally:
            chunks.close()
        return Answer(
            started["status"], started["headers"], json.loads(content) if content else None
        )
