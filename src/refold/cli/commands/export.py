"""``refold export``: a model as an ONNX file."""

from typing import Annotated, Literal

from cyclopts import Parameter

import refold
from refold.cli import _options as options
from refold.cli._console import log
from refold.cli._files import GRAPH_FORMATS, Files
from refold.cli._models import load_model

__all__ = ["export"]


def export(
    model: options.ModelFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="FILE")],
    part: Literal["encoder", "decoder", "forecaster"] = "encoder",
    packed: bool = False,
    category_indices: bool = False,
    weights: Literal["float32", "float16", "int8"] = "float32",
    opset: options.Count = None,
    quiet: options.Quiet = False,
) -> None:
    """Write the encoder, the decoder or the forecaster as an ONNX file, for other languages.

    Parameters
    ----------
    output
        File to write (.onnx), or -.
    part
        Part of the model to write.
    packed
        Take all steps in one dimension, without padding.
    category_indices
        Take categories as indices, not as text.
    weights
        Type of stored weights, where the error stays within 1 %.
    opset
        Version of ONNX's operators. [default: 18]
    """
    target = Files(model).output(output, GRAPH_FORMATS)
    chosen = {} if opset is None else {"opset": opset}
    loaded = load_model(model)
    with target.writing() as path:
        exported = refold.export.to_onnx(
            loaded,
            path,
            part,
            packed=packed,
            category_indices=category_indices,
            weights=weights,
            **chosen,
        )
    if quiet:
        return
    what = "codes" if part == "encoder" else "values"
    log(f"Wrote the {part} to {output} ({exported.num_bytes / 1000:,.0f} kB).")
    if exported.largest_difference is not None:
        log(
            f"On sequences that the model decodes, its {what} differ from those of Refold by at "
            f"most {exported.largest_difference:.1g} standard deviations in ONNX Runtime."
        )
    if part == "encoder" and loaded.latent_steps:
        log(
            f"Refold encodes this model with {loaded.latent_steps} steps of latent optimization, "
            "which are not part of the graph: codes are those of --latent-steps 0."
        )
