"""A simple service with FastAPI, which calls ``encoder.predict`` for each request.

Run ``python -m benchmarks.serve_fastapi MODEL PORT LENGTHS...``. Sequences are padded
to a power of two, so that there are few shapes. All of them are compiled at the start.
"""

import sys
import threading

import fastapi
import numpy as np
import pydantic
import uvicorn

import refold


class Body(pydantic.BaseModel):
    """The body of a request."""

    sequences: list[list[list[float | None]]] | list[list[float | None]]


def padded(length: int, least: int) -> int:
    """Return the number of steps to which a sequence is padded."""
    return max(least, 1 << (length - 1).bit_length())


def main() -> None:
    """Serve a model."""
    model, port, *lengths = sys.argv[1:]
    ae = refold.SequenceAutoencoder.load(model)
    ae.set_params(latent_steps=0)
    encoder, least = ae.encoder_, 16
    width = ae.schema_.num_columns
    one_at_a_time = threading.Lock()  # Keras fails if two threads predict
    app = fastapi.FastAPI()

    def encode(sequences: list[np.ndarray]) -> np.ndarray:
        x = ae.encoder_inputs(sequences, padded(max(map(len, sequences)), least))
        with one_at_a_time:
            return encoder.predict(x, verbose=0)

    @app.post("/v1/{model}/encode")
    def answer(model: str, body: Body) -> dict[str, list[list[float]]]:
        del model
        return {"codes": encode([np.array(one, float) for one in body.sequences]).tolist()}

    @app.get("/v1/ready")
    def ready() -> bool:
        return True

    flat = ae.schema_.layout == "series"
    for steps in sorted({padded(int(length), least) for length in lengths}):
        encode([np.zeros(steps if flat else (steps, width))])
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
