"""Where one stands, put together from what is known here: nothing is asked of a remote or CI, fetched, run or written."""
