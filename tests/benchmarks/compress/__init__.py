"""The compression bench: what other tools and this project make of the same teachers, judged by the same code."""
