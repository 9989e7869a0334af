"""What CI says of a commit: one client a system, a table of words each, one verdict, and a watcher that waits for it."""
