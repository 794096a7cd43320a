#!/usr/bin/env python3
from fastapi import (
    FastAPI,
)
from fastapi.middleware.cors import CORSMiddleware

TEXT = """
app = FastAPI()
# >>> slimductor body
"""

api: FastAPI = FastAPI(
    title="A (bracket in a text",
    description="""Several
    lines)""",  # a comment with a bracket (
    docs_url=None,
)
api.add_middleware(CORSMiddleware, allow_origins=["*"])


@api.get("/health")
def health() -> dict:
    return {"ok": True}


app = api
