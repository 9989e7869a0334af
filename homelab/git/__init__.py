"""One repository: runs git, reads objects, asks remotes."""
