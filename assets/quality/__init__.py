"""The gate: a landed batch is judged record by record; what is good is accepted, the rest is quarantined."""
