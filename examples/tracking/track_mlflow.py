"""Log arguments, losses and the model to MLflow: ``python track_mlflow.py``, then ``mlflow ui``.

``MLFLOW_TRACKING_URI`` names the store. The default is a database in the current folder.
"""

import argparse
import tempfile
from pathlib import Path

import refold  # before Keras, which then runs on JAX

# isort: split
import mlflow
from mlflow.keras import MlflowCallback


def main(arguments: list[str] | None = None) -> None:
    """Fit JapaneseVowels, and log the training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-epochs", type=int)
    options = parser.parse_args(arguments)

    vowels = refold.datasets.japanese_vowels()
    ae = refold.SequenceAutoencoder(
        latent_dim=16, max_epochs=options.max_epochs, random_state=0, refit=False
    )
    mlflow.set_experiment("japanese-vowels")
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_params(ae.get_params())
        ae.fit(vowels.train, callbacks=[MlflowCallback()])  # the losses of every epoch
        mlflow.log_metric("explained_variance", ae.score(vowels.test))
        path = Path(folder) / "vowels.refold"
        ae.save(path)
        mlflow.log_artifact(str(path))
    print(f"run {run.info.run_id}: {len(ae.history_['loss'])} epochs")

    # Load the model again, here or on another machine.
    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=run.info.run_id, artifact_path="vowels.refold", dst_path=folder
        )
        print(f"the logged model has codes of {refold.load(path).code_size} dimensions")


if __name__ == "__main__":
    main()
