from fastapi import FastAPI


class Server:
    def __init__(self):
        self.app = FastAPI()
