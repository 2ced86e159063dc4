"""Data sets that lines bring themselves: embedded ones, and small made ones in the original formats, for `debug`.

Each function is a `data.source`: it is given an empty folder, and writes the same bytes there every time.
"""
