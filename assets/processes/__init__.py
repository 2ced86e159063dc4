"""Heavy steps in processes of their own."""
