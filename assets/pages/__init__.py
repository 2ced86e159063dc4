"""What pages for people have in common."""
