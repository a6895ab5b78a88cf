"""Files of sequences: reading, writing, and blocks of files larger than memory."""
