"""How Ray runs here and in a cluster: its variables, its private parts, and its sockets' folder."""
