"""Serve the application: ``python3 -m app``."""

from wsgiref.simple_server import make_server

from app.config import Config
from app.main import create_app


def main() -> None:
    config = Config.from_env()
    with make_server(config.host, config.port, create_app(config)) as server:
        print(f"listening on http://{config.host}:{config.port}")
        server.serve_forever()


if __name__ == "__main__":
    main()
