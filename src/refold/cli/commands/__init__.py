"""The commands of ``refold``, one or more per module."""
