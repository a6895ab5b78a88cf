"""The parallel decoder: it writes each step from the code and the position alone."""

from typing import Any

from refold.layers import dense
from refold.models._cells import cell_of, find_cell
from refold.models.decoders._base import Decoder, Settings


class ParallelDecoder(Decoder):
    """A stack of recurrent layers whose initial states are projections of the code."""

    # From bottom to top: the projection for the initial state, and the recurrent layer.
    stack: list[tuple[Any, Any]]

    def make_hidden(self, settings: Settings) -> None:
        """Create the stack."""
        cell, units, suffix = find_cell(settings.cell), settings.units, settings.suffix
        self.stack = [
            (
                dense(cell.state_size * units, name=f"start{suffix}_{i + 1}"),
                cell.make(units, name=f"decoder{suffix}_{i + 1}"),
            )
            for i in range(settings.depth)
        ]

    def hidden_steps(self, code: Any, steps: Any, real: Any = None) -> Any:
        """Run the stack over all steps."""
        for project, layer in self.stack:
            state = cell_of(layer).initial_state(project(code), layer.units)
            steps = layer(steps, initial_state=state, mask=real)
        return steps
