"""From accepted records to a trained teacher, exported to ONNX."""
