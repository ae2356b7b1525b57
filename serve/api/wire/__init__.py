"""HTTP as clients speak it: compressed bodies, and methods that have no route of their own."""
