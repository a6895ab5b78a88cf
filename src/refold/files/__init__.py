"""Files of sequences: a module for each format, reading, writing, and data larger than memory.

`refold.sequences` exports the public names.
"""

import refold.sequences  # noqa: F401 - first, because it imports the modules of this package
