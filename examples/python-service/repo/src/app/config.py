"""Settings, from the environment."""

import os
from dataclasses import dataclass
from typing import Mapping, Optional


class ConfigError(ValueError):
    """A setting is missing or makes no sense."""


@dataclass(frozen=True)
class Config:
    host: str = "127.0.0.1"
    port: int = 8000
    # Signs tokens. Empty: a random one per process, so tokens end with it.
    secret: str = ""
    token_lifetime: int = 3600
    password_iterations: int = 200_000

    @classmethod
    def from_env(cls, environ: Optional[Mapping[str, str]] = None) -> "Config":
        environ = os.environ if environ is None else environ
        return cls(
            host=environ.get("APP_HOST", cls.host),
            port=_positive(environ, "APP_PORT", cls.port),
            secret=environ.get("APP_SECRET", cls.secret),
            token_lifetime=_positive(environ, "APP_TOKEN_LIFETIME", cls.token_lifetime),
            password_iterations=_positive(
                environ, "APP_PASSWORD_ITERATIONS", cls.password_iterations
            ),
        )


def _positive(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ConfigError(f"{name}: not a number: {text!r}") from None
    if value <= 0:
        raise ConfigError(f"{name}: must be positive: {value}")
    return value
