"""Peer of the detector: a `transformers` pipeline behind FastAPI, as tutorials build it.

python transformers_server.py FOLDER PORT
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Texts(BaseModel):
    """Body of a request."""

    text: list[str]


def build_app(folder: str) -> FastAPI:
    """Build the application with the pipeline's defaults."""
    classify = pipeline("text-classification", model=folder, top_k=None)
    app = FastAPI()

    @app.post("/v1/detect")
    def detect(body: Texts) -> list[list[dict[str, float | str]]]:
        scores: list[list[dict[str, float | str]]] = classify(body.text)
        return scores

    @app.get("/healthz")
    def health() -> str:
        return "ok"

    return app


if __name__ == "__main__":
    app = build_app(sys.argv[1])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
