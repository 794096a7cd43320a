import os

from fastapi import FastAPI

if os.environ.get("DEBUG"):
    app = FastAPI(debug=True)
else:
    app = FastAPI()
