"""The service's entry point."""
from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/health")
def health():
    return {"ok": True}
