"""Secrets: found as plaintext, sealed in linked worktrees."""
