"""Make ``src/refold/datasets/data/japanese_vowels.parquet`` from the archive's two ``.ts`` files.

The wheel of aeon on the package index contains them::

    pip download --no-deps aeon==1.6.0
    unzip aeon-1.6.0-py3-none-any.whl 'aeon/datasets/data/JapaneseVowels/*'
    python scripts/japanese_vowels.py aeon/datasets/data/JapaneseVowels

A line of a ``.ts`` file is one utterance. Colons separate the features, and commas the values of a
feature. The last entry is the label. The values have six decimals. The script stops if float32
cannot represent one of them.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parents[1] / "src/refold/datasets/data/japanese_vowels.parquet"
# Number of utterances in each file of the archive.
NUM_UTTERANCES = {"train": 270, "test": 370}
NUM_FEATURES = 12


def read_ts(path: Path) -> tuple[list[np.ndarray], list[int]]:
    """Read a ``.ts`` file: an array of shape (features, steps) and a label per utterance."""
    utterances, labels = [], []
    in_data = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if in_data and line.strip():
            *features, label = line.split(":")
            utterances.append(np.array([feature.split(",") for feature in features], float))
            labels.append(int(label))
        in_data = in_data or line.strip() == "@data"
    return utterances, labels


def main() -> None:
    """Write the Parquet file, with a row for each utterance and a list column for each feature."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where JapaneseVowels_TRAIN.ts and _TEST.ts lie")
    folder = parser.parse_args().folder

    splits: list[str] = []
    labels: list[int] = []
    utterances: list[np.ndarray] = []
    for split, count in NUM_UTTERANCES.items():
        series, speakers = read_ts(folder / f"JapaneseVowels_{split.upper()}.ts")
        shapes = len(series), {len(utterance) for utterance in series}
        if shapes != (count, {NUM_FEATURES}):
            raise SystemExit(f"{split}: expected {count} utterances of {NUM_FEATURES} features")
        splits += [split] * len(series)
        labels += speakers
        utterances += series
    values = np.concatenate([utterance.ravel() for utterance in utterances])
    if not np.array_equal(np.round(values.astype("float32").astype(float), 6), values):
        raise SystemExit("float32 does not keep all six decimals")

    columns = {"split": pa.array(splits), "label": pa.array(labels, pa.int8())}
    for feature in range(NUM_FEATURES):
        rows = [utterance[feature].astype("float32") for utterance in utterances]
        columns[f"x{feature}"] = pa.array(rows, pa.list_(pa.float32()))
    pq.write_table(
        pa.table(columns),
        TARGET,
        compression="zstd",
        compression_level=19,
        use_dictionary=["split", "label"],
        use_byte_stream_split=[f"x{feature}.list.element" for feature in range(NUM_FEATURES)],
    )


if __name__ == "__main__":
    main()
