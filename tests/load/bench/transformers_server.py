"""The peer of the detector: a `transformers` pipeline behind FastAPI, as tutorials write it. `python pipeline_server.py FOLDER PORT`."""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline


class Texts(BaseModel):
    text: list[str]


def app(folder: str) -> FastAPI:
    """Every default of the pipeline is left as it is."""
    classify = pipeline("text-classification", model=folder, top_k=None)
    made = FastAPI()

    @made.post("/v1/detect")
    def detect(body: Texts) -> list[list[dict[str, float | str]]]:
        found: list[list[dict[str, float | str]]] = classify(body.text)
        return found

    @made.get("/healthz")
    def alive() -> str:
        return "alive"

    return made


if __name__ == "__main__":
    uvicorn.run(app(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
