"""A repository that uses git-crypt, as it is without the key."""

SEALED = b"\0GITCRYPT\0" + b"\1" * 24
RULES = "secrets/** filter=git-crypt diff=git-crypt\n"
