"""What is never amplified: a message that speaks of harming oneself or somebody else. It does not know of personas or HTTP."""

from enum import StrEnum


class Category(StrEnum):
    """Why a message is answered calmly, and by nobody's emotion."""

    SELF_HARM = "self-harm"
    VIOLENCE = "violence"
