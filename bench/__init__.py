"""What homelab costs: real whole processes, timed in turns beside its peers."""
