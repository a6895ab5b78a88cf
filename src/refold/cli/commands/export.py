"""``refold export``: a model as an ONNX file."""

from typing import Annotated, Literal

import typer

import refold
from refold.cli._console import log
from refold.cli._files_and_streams import GRAPH_FORMATS, check_distinct, plan_output
from refold.cli._options import Model, Quiet
from refold.cli._saved_models import load_model

__all__ = ["export"]


def export(
    model: Model,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="File to write (.onnx), or -.")
    ],
    part: Annotated[
        Literal["encoder", "decoder", "forecaster"],
        typer.Option(help="Part of the model to write."),
    ] = "encoder",
    packed: Annotated[
        bool, typer.Option("--packed", help="Take all steps in one dimension, without padding.")
    ] = False,
    category_indices: Annotated[
        bool, typer.Option("--category-indices", help="Take categories as indices, not as text.")
    ] = False,
    weights: Annotated[
        Literal["float32", "float16", "int8"],
        typer.Option(help="Type of stored weights, where the error stays within 1 %."),
    ] = "float32",
    opset: Annotated[
        int | None, typer.Option(metavar="N", help="Version of ONNX's operators. [default: 18]")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write the encoder, the decoder or the forecaster as an ONNX file, for other languages."""
    target = plan_output(output, GRAPH_FORMATS)
    check_distinct([target], [model])
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
