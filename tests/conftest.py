"""Before any test: Keras runs on Refold's backend, and tests may import what lies beside them."""

import sys
from pathlib import Path

import refold

assert refold.__version__
sys.path.insert(0, str(Path(__file__).parent))
