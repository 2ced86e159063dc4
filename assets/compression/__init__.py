"""Smaller models: pruned, distilled, quantized in every Q/DQ dialect, and one chosen under the line's budget."""
