"""How far a batch is from accepted data: a small stored profile of each, and a comparison of two."""
