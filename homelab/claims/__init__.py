"""Claims: who holds which resource, since when, until when and why. The rooms inside are one concept each.

`model` decides and stores nothing; `stores` keep records and speak no words; `operations` takes and gives back, and says
who is in the way; `command` ties a claim to a command; `identity` says who asks, `locate` where claims are kept.
"""
