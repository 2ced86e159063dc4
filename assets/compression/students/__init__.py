"""Networks that learn again: students of a teacher, and networks that are taught with INT8 simulated."""
