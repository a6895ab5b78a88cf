"""Draw the README's picture: held-out vowels as codes in the plane, and as they come back.

``python scripts/readme_picture.py`` writes ``docs/images/vowels.png``.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import refold

OUTPUT = Path(__file__).parents[1] / "docs" / "images" / "vowels.png"


def main() -> None:
    """Fit by defaults and draw."""
    vowels = refold.datasets.japanese_vowels()
    ae = refold.SequenceAutoencoder(latent_dim=16, random_state=0).fit(vowels.train)
    codes = ae.transform(vowels.test)
    back = ae.inverse_transform(codes)
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=[1.5, 1, 1])
    left = figure.add_subplot(grid[:, 0])
    refold.plots.code_map(codes, vowels.test_labels, ax=left, label_name="speaker")
    shown = np.linspace(0, len(back) - 1, 4).round().astype(int)
    for i, index in enumerate(shown):
        ax = figure.add_subplot(grid[i // 2, 1 + i % 2])
        refold.plots.reconstruction(vowels.test[index], back[index], ax=ax)
        ax.set_title(f"utterance {index}", loc="left", fontsize="small", y=1.04)
        if i and (legend := ax.get_legend()) is not None:
            legend.remove()
    OUTPUT.parent.mkdir(exist_ok=True)
    figure.savefig(OUTPUT)


if __name__ == "__main__":
    main()
