"""Linked worktrees: start, list, clean."""
