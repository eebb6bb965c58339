"""Features as PyTorch modules that live inside the exported graph."""
