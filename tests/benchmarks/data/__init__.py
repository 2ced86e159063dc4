"""`make bench-data`: what landing and the gate cost, and what they find."""
