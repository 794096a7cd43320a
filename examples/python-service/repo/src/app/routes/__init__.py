"""HTTP: parse a request, call a service, build a response."""
