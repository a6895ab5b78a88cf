"""The default network as graphs of standard ONNX operators."""
