"""What lines can learn: one folder per task, each with the same files. README.md is the contract of a folder."""
