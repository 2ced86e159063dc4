"""What a search found: its front, the candidate that ships, and both as rows and words."""
