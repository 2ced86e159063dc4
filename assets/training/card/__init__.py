"""The model card: what a trained model is, how good it is, and what it costs; one static page."""
