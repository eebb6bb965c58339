"""The recognition wing: what users run. NumPy and ONNX Runtime, no PyTorch."""
