"""Preprocessing and inference sessions: the very code that runs on devices, and in training and evaluation too."""
