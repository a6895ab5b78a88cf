"""The network of a model, which Keras, compiled operations on packed rows, and ONNX can run."""
