"""Commands of `python -m serve`, one module each, for an operator at a terminal.

They start the graph on this machine or call a running server over HTTP. Each command returns an
exit status and prints an error of this project as one line. Nothing else imports this package.
"""
