"""The pages and the device gateway over HTTP."""
