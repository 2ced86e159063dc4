"""How far a training is, for people."""
