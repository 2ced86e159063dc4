"""When accepted batches are trained on."""
