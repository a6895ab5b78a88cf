"""``refold fit`` trains, ``curve`` compares numbers of latent dimensions, ``doctor`` diagnoses."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.atomic_files import lock_checkpoint
from refold._support.messages import format_rounded, pluralize
from refold._support.rules import check, number_rule
from refold.cli import _options as options
from refold.cli import _outputs as outputs
from refold.cli._inputs import TrainingReadOptions, check_ray_supports
from refold.errors import ParameterError

# Annotation that shows an option under the heading "Training" of the help.
_TRAINING_HELP_PANEL = Parameter(group=options.HELP_PANELS["Training"])
# Names of the findings of the diagnosis that are logged before training. The fit itself warns of
# suspicious values, so the findings about them are not logged.
_FINDING_NAMES_LOGGED_BEFORE_FIT = {
    *("unsorted-time", "repeated-end", "heavy-tails", "different-levels"),
    *("few-sequences", "id-like"),
}
# Numbers of latent dimensions in a curve, unless --sizes is set.
_DEFAULT_LATENT_DIMS = (2, 4, 8, 16, 32)


def fit(
    data_file: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="MODEL")],
    fit_options: options.FitOptions = options.FitOptions(),
    base_file: Annotated[
        str | None, Parameter(name="--from", metavar="MODEL"), _TRAINING_HELP_PANEL
    ] = None,
    seed: options.OptionalSeed = None,
    resume: Annotated[bool, _TRAINING_HELP_PANEL] = False,
    checkpoint_seconds: Annotated[float, Parameter(metavar="SECONDS"), _TRAINING_HELP_PANEL] = 60.0,
    read_options: TrainingReadOptions = TrainingReadOptions(),
    ray_address: options.RayAddress = None,
    num_processes: Annotated[
        options.OptionalPositiveInt,
        Parameter(name="--processes", group=options.HELP_PANELS["Cluster"]),
    ] = None,
    quiet: options.Quiet = False,
) -> None:
    """Train an autoencoder on sequences, and save it in one file.

    Args:
        output: File for the model.
        base_file: Continue from the weights of a model, with its options unless you set others.
        resume: Continue an interrupted run from MODEL.checkpoint, if it exists.
        checkpoint_seconds: Minimum time between two writes of MODEL.checkpoint. It is written
            at the end of an epoch.
        num_processes: Processes that train together, each on a part of the data. [default: 2]
    """
    files = outputs.CommandFiles(base_file, data_file)
    target = files.add_output(output, outputs.MODEL_FORMATS)
    checkpoint_path = Path(f"{output}.checkpoint")
    options.check_dependent_option("--processes", num_processes, "--on CLUSTER", ray_address)
    check("checkpoint_seconds", checkpoint_seconds, number_rule(minimum=0))
    # The lock raises an error if another training run is using the checkpoint. It is released at
    # once, because the fit locks the checkpoint again.
    with lock_checkpoint(checkpoint_path):
        pass
    if checkpoint_path.exists() and not resume:
        raise ParameterError(
            f"The checkpoint {str(checkpoint_path)!r} of an interrupted training run would be "
            "overwritten. Continue that run with --resume, or delete the file to start over."
        )
    if resume and not quiet and not checkpoint_path.exists():
        outputs.log_line(
            f"There is no checkpoint {str(checkpoint_path)!r}, so a new training run starts."
        )
    base_model = None if base_file is None else refold.Model.load(base_file)
    has_windows = fit_options.has_window or (
        base_model is not None and base_model.window is not None
    )
    fit_arguments = fit_options.to_arguments() | {"verbose": int(not quiet)}
    if seed is not None:
        fit_arguments["random_state"] = seed
    if read_options.missing is not None:
        fit_arguments["missing_values"] = read_options.missing

    # The estimator and the checkpoint import Keras and JAX, which takes seconds. So they are made
    # after the data are open, and a mistake in the data is answered at once.
    def make_estimator_and_checkpoint() -> tuple[Any, Any]:
        if base_file is None:
            estimator = refold.SequenceAutoencoder()
        else:
            estimator = refold.SequenceAutoencoder.load(base_file)
        # --from continues from the weights of the model, which scikit-learn calls a warm start
        estimator.set_params(**fit_arguments, warm_start=base_file is not None)
        return estimator, refold.Checkpoint(checkpoint_path, checkpoint_seconds)

    start_time = time.perf_counter()
    data_text = data_file  # names the training data in the message at the end
    if ray_address is not None:
        # refuse options that do not work on a cluster
        check_ray_supports(read_options, {"from": base_file, "window": fit_options.has_window})
        outputs.check_no_streams("--on", data_file)
        estimator, checkpoint = make_estimator_and_checkpoint()
        settings: Any = {"on": ray_address, "processes": num_processes or 2}
        settings |= read_options.to_arguments()
        estimator = refold.cluster.fit(
            estimator, data_file, checkpoint=checkpoint, resume=resume, **settings
        )
    else:
        with read_options.open_sequences(
            base_model, data_file, files, may_be_long_series=has_windows
        ) as sequences:
            estimator, checkpoint = make_estimator_and_checkpoint()
            # If all sequences are empty, the fit raises an error, so a diagnosis is not needed.
            # Cutting data larger than memory into windows copies them on disk. A diagnosis is not
            # worth this time.
            can_diagnose = sequences.lengths.any() and not (has_windows and sequences.is_mapped)
            # a fit that continues another is not diagnosed, because the first fit was
            is_first_fit = base_file is None and not checkpoint_path.exists()
            if is_first_fit and can_diagnose and not quiet:
                diagnosis = refold.diagnosis.diagnose(
                    sequences, estimator=estimator, short_fit=False
                )
                for finding in diagnosis.findings:
                    if finding.name in _FINDING_NAMES_LOGGED_BEFORE_FIT:
                        text = outputs.spell_as_options(finding.message)
                        outputs.log_line(text, label=finding.name, label_color="yellow")
            estimator.fit(sequences, checkpoint=checkpoint, resume=resume)
            data_text = f"{len(sequences)} series, in windows of {estimator.window} steps,"
            if not has_windows:  # sequences that were set aside for calibration are not counted
                data_text = f"{len(sequences) - estimator.model_.num_calibrated} sequences"
    seconds = time.perf_counter() - start_time
    estimator.set_params(warm_start=False)  # it was set for this fit only
    estimator.save(str(target.path))
    if not estimator.interrupted_:
        checkpoint_path.unlink(missing_ok=True)
    if not quiet:
        shapes = pluralize(estimator.n_shapes_, "shape")
        outputs.log_line(
            f"Trained on {data_text} in {seconds:.1f} s, padded to {shapes}. Model: {output}"
        )
    # the model is written, but the exit code must be that of an interruption
    if estimator.interrupted_:
        raise KeyboardInterrupt(
            "Stopped by Ctrl-C in the refit. The weights before the refit were written. --resume "
            f"continues from {str(checkpoint_path)!r}."
        )


def curve(
    data_file: options.DataFile,
    /,
    *,
    output: Annotated[options.PictureFile, Parameter(name="--output", alias="-o")] = None,
    latent_dims: Annotated[options.IntegerList, Parameter(name="--sizes")] = None,
    fit_options: options.ErrorCurveFitOptions = options.ErrorCurveFitOptions(),
    seed: options.OptionalSeed = None,
    read_options: TrainingReadOptions = TrainingReadOptions(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Print the held-out error by latent dimensions, next to that of PCA.

    Each size is a fit with these options, and has a --time-budget of its own. After Ctrl-C, the
    command prints the errors of the sizes that are done.

    Args:
        output: Image file for a figure: .png or .svg.
        latent_dims: Numbers of latent dimensions, comma-separated. [default: 2,4,8,16,32]
    """
    latent_dims = sorted(set(latent_dims or _DEFAULT_LATENT_DIMS))
    files = outputs.CommandFiles(data_file)
    target = files.add_optional_picture(output, option="--output")
    with read_options.open_sequences(
        None, data_file, files, may_be_long_series=fit_options.has_window
    ) as sequences:
        estimator = refold.SequenceAutoencoder(
            **fit_options.to_arguments(),
            missing_values=read_options.missing,
            random_state=seed,
            verbose=int(not quiet),
        )
        result = refold.error_curve(sequences, latent_dims, estimator=estimator)
    if as_json:
        outputs.print_json(asdict(result))
    else:
        # columns of the table by heading
        columns = {"latent dimensions": [str(latent_dim) for latent_dim in result.sizes]}
        if result.measure == "NMSE":
            columns["Refold, NMSE"] = [format_rounded(value) for value in result.errors]
            columns["PCA, NMSE"] = [format_rounded(value) for value in result.pca]
        if result.accuracy:  # empty without categorical and binary columns
            format_percent = refold.evaluation.as_percent
            columns["Refold, accuracy"] = [format_percent(value) for value in result.accuracy]
            columns["PCA, accuracy"] = [format_percent(value) for value in result.pca_accuracy]
        outputs.print_table([*columns], zip(*columns.values(), strict=True), num_text_columns=0)
    if target is not None:
        target.write_picture(refold.plots.error_by_size(result).figure)
        if not quiet:
            outputs.log_line(f"Wrote the figure to {target.file_name}")
    if not result.complete:
        progress = f"{len(result.sizes)} of {len(latent_dims)} sizes"
        raise KeyboardInterrupt(f"Stopped by Ctrl-C after {progress}.")


def doctor(
    data_file: options.DataFile,
    /,
    *,
    fit_options: options.FitOptions = options.FitOptions(),
    seed: options.OptionalSeed = None,
    read_options: TrainingReadOptions = TrainingReadOptions(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Look for reasons why a model does not learn: in the data, and in a short fit.

    Takes the options of `refold fit`. Prints one finding per line, the most important first. The
    fit ends after 30 seconds, or after --time-budget.
    """
    with read_options.open_sequences(
        None, data_file, outputs.CommandFiles(data_file), may_be_long_series=fit_options.has_window
    ) as sequences:
        estimator = refold.SequenceAutoencoder(
            **fit_options.to_arguments(), random_state=seed, missing_values=read_options.missing
        )
        diagnosis = refold.diagnosis.diagnose(sequences, estimator=estimator)
    findings = [
        replace(finding, message=outputs.spell_as_options(finding.message))
        for finding in diagnosis.findings
    ]
    if as_json:
        outputs.print_json(replace(diagnosis, findings=tuple(findings)).to_dict())
        return
    for finding in findings:
        outputs.print_line(f"{finding.name}: {finding.message}")
    if not findings and not quiet:
        outputs.log_line("Nothing looks wrong.")
    if not quiet and (error_text := diagnosis.text()) is not None:
        outputs.log_line(error_text)
