"""Let people read answers without knowing the system, and merge what they find.

    draw: held-out messages -> answers of one system
    sheet: answers of several systems -> sheet without names, and its key
    merge: marks of the readers, key -> shares with intervals, and the readers' agreement

A mark is 0 (nonsense or wrong), 1 (fits but vague) or 2 (fits, specific and in voice). This room
does not know how a system was trained.
"""
