"""A line as people write it: its sections, validated once."""
