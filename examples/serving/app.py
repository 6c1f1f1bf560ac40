"""A model behind FastAPI: ``MODEL=digits.safetensors uvicorn app:app --app-dir examples/serving``.

POST /predict takes ``{"rows": [[...], ...]}`` and answers ``{"outputs": [[...], ...]}``; GET /health names it.
A prediction takes microseconds, so it is made on the event loop: handing it to a thread would cost more.
"""
import os
from contextlib import asynccontextmanager

import numpy as np
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

import fastsgd


class Rows(BaseModel):
    """What a client sends."""

    rows: list[list[float]]


@asynccontextmanager
async def lifespan(app: FastAPI):
    app.state.net = net = fastsgd.Network.load(os.environ["MODEL"])
    app.state.one = net.compile_predictor(1)                  # most requests bring one row
    yield


app = FastAPI(title="a fastsgd network", lifespan=lifespan)


@app.post("/predict")
async def predict(body: Rows, request: Request) -> dict[str, list[list[float]]]:
    """The network's outputs, one list for each row."""
    state = request.app.state
    try:
        X = np.array(body.rows, dtype=state.net.dtype)
        outputs = state.one(X) if len(X) == 1 else state.net.predict(X)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return {"outputs": outputs.tolist()}


@app.get("/health")
async def health(request: Request) -> dict[str, str]:
    """What is served."""
    return {"network": repr(request.app.state.net), "fastsgd": fastsgd.__version__}
