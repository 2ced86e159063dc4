"""What keeps private data out of the state, and takes out again what somebody asks to be forgotten."""
