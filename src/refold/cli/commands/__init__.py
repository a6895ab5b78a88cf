"""The commands of ``refold``, one module each."""
