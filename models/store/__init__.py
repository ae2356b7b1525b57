"""Store of adapters: checked copies on which nothing outside the project has a hold.

A folder comes in; a checked copy, whose folder is named by its hash, goes out.
"""
