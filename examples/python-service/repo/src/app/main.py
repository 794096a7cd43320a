"""Puts the application together."""

from app.config import Config
from app.router import Request, Response, Router


def health(request: Request) -> Response:
    return Response({"status": "ok"})


def create_app(config: Config) -> Router:
    app = Router()
    app.add("GET", "/health", health)
    return app
