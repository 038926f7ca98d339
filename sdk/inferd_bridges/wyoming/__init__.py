"""The Wyoming bridge: voice satellites and Home Assistant hear and speak through inferd.

Covers: the Wyoming protocol on TCP and Unix sockets, speech to text with partial texts, text to speech as the text is written.
Does not cover wake words and intents, and no authentication: the protocol has none, so who reaches a port may use the models.

From the outside in: `server` listens, `connection` is one client's effects, `conversation` decides for it (pure), `jobs` are
its requests to the daemon. What is said and read on the way: `framing` (bytes), `asked` (what clients say, checked), `orders`.
"""
