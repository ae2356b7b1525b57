"""Terminal chat with a running server: the command `python -m serve chat`.

A line is read, sent over HTTP and shown while its events arrive: bars, name, wrapped text. A line
that begins with a slash is a command. What was said is kept until the chat ends, and nowhere else.
"""
