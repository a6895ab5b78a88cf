"""Sequences that grow step by step: the code, the error and the p-value after each push."""

from refold.stream._stream import Stream as Stream
from refold.stream._stream import StreamResult as StreamResult

__all__ = ["Stream", "StreamResult"]
