"""Terraform stacks: where they are (`stack`), what runs them (`run`), and their secrets in linked worktrees (`sealed`)."""
