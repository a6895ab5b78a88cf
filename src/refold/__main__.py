"""Entry point of ``python -m refold``."""

import sys

from refold.cli import main

if __name__ == "__main__":
    sys.exit(main())
