"""The search for hyperparameters, and cross-validation."""
