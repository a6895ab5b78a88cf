"""Fitted models as ONNX files, for phones, browsers and other languages.

Writing one needs the extra ``onnx``. Running one needs a runtime for ONNX only.
"""

from refold.export._to_onnx import Exported as Exported
from refold.export._to_onnx import to_onnx as to_onnx
