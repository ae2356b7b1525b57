"""Adapters on disk: a store of checked copies, and the sum of several adapters as one.

Folders come in; a checked copy, whose folder is named by its hash, or a blend goes out. Nothing
outside the project has a hold on a copy. Several machines may share the copies by a URL.
"""
