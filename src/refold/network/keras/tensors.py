"""Types of what layers take, for which Keras has no types."""

from typing import Any

Tensor = Any
"""A tensor of the backend, or a symbolic one while a model is built; None if it is not given."""

Shape = Any
"""A tuple of sizes, None where a size is not known yet."""
