"""HTTP as clients speak it: compressed bodies, HTTP/1.0, and routes under other names."""
