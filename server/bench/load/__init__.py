"""`omnilive bench load`: many scripted callers at once, and how many a server holds."""
