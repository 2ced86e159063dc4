"""Landing: sources are read, copied and declared, and a journal says what became ready."""
