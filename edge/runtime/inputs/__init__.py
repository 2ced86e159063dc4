"""What a model reads, kind by kind; `edge.runtime.preprocess` chooses the one that a model needs."""
