"""May this push happen: updates, admission, verdict, markers."""
