"""`omnilive bench`: how fast the server is, beside the reference and the machine's own limits."""
