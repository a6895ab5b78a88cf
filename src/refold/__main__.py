"""``python -m refold`` is the command line."""

import sys

from refold.cli import main

if __name__ == "__main__":
    sys.exit(main())
