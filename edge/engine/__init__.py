"""TensorRT plans: built in a process of their own, recognized by their first bytes, run or refused with a reason."""
