"""How good and how fast a model is, measured in one way everywhere."""
