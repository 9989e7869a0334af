"""Claims: who holds which resource, since when, until when and why. The rooms inside are one concept each.

`model` decides and stores nothing; `files` and `postgres` store and decide nothing else; `bound` ties a claim to a
command; `asking` says who asks and `stores` where claims are kept.
"""
