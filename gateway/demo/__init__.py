"""The demo: a local chain, a shop that receives webhooks, and the whole story told as it happens.

Everything in it is the real thing: `chainbell run` as its own process, real
HTTP, real signatures verified by an independent library.  Nothing of this
folder runs in production.
"""
