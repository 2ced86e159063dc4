"""`make bench-train`: what the lines' full profiles reach on real data, and what training costs."""
