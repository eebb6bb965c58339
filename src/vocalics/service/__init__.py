"""The service: the same answers over HTTP and WebSockets, for programs in any language.

One process speaks the protocols and holds no model; others, which may die without it, decode and listen.
"""
