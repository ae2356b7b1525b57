"""Web page: a conversation at `/`, figures and releases for operators at `/status`.

The files in `static/` are sent as they are: JavaScript modules, CSS and HTML without a build step.
They know the HTTP API alone. Python only sends them, with headers that forbid everything else.
"""
