from fastapi import FastAPI


def create_app(
    debug: bool = False,
) -> FastAPI:
    app = FastAPI(debug=debug)

    @app.get("/health")
    def health():
        return {"ok": True}

    return app


app = create_app()
