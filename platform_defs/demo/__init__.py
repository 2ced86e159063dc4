"""`make demo`: the whole loop on scikit-learn's digits, with a real daemon and a device in its own process."""
