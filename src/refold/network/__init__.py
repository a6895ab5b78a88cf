"""The network: its specification and weights, and what runs it: Keras, packed rows and ONNX."""
