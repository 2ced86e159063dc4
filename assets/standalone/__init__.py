"""A user's own ONNX file: what it reads and answers, the records it is judged on, and by what."""
