"""From the chosen model to one verified artifact per target."""
