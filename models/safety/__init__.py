"""Safety classifier: finds messages that speak of harm, in texts and conversations of any length.

Turns come in; a level, `crisis` or `concern`, and a category go out. The room knows neither what
is done about a level nor how the classifier is trained.
"""
