"""A small WSGI service."""
