"""Which versions of which persona there are, and which one answers: a value that every change makes anew. It knows of no replica.

publish -> resident, answers nobody yet -> promote -> answers -> rollback -> the one before answers again
"""

from pathlib import Path
from typing import Self

from models.emotions import LABELS
from models.personas import Persona, PersonaName
from models.schema import FrozenModel
from serve.errors import AdapterRefused


class Version(FrozenModel):
    """An adapter by its versioned name. `folder` must be the same for every replica; the scripted engine's have none.

    `character` is what a persona beside the six has brought.
    """

    name: str
    persona: PersonaName
    folder: Path | None = None
    character: Persona | None = None


class Releases(FrozenModel):
    """`versions` are resident, oldest first. `answering` are names by persona, the one that answers last: a rollback drops it.

    `began` are the names that the configuration had, and `change` says how many changes ago that was: the later of two with one
    beginning is what holds.
    """

    versions: tuple[Version, ...] = ()
    answering: dict[PersonaName, tuple[str, ...]] = {}
    began: tuple[str, ...] = ()
    change: int = 0

    @property
    def aliases(self) -> dict[str, str]:
        return {persona: names[-1] for persona, names in self.answering.items()}

    @property
    def characters(self) -> dict[str, Persona]:
        """Those beside the six that answer, by their persona."""
        answering = self.aliases.values()
        return {known.persona: known.character for known in self.versions if known.character and known.name in answering}

    def follows(self, other: Self) -> bool:
        return self.began == other.began and self.change > other.change

    def publish(self, version: Version, places: int) -> Self:
        """With one more version, in at most `places`: the oldest that answers nobody makes room. Raises AdapterRefused."""
        if any(version.name == known.name for known in self.versions):
            raise AdapterRefused(f"{version.name} is published already")
        idle = [known for known in self.versions if known.name not in self.aliases.values()]
        room = places - (len(self.versions) - len(idle)) - 1
        if room < 0:
            raise AdapterRefused(f"there are {places} places for adapters, and each holds one that answers")
        kept = idle[len(idle) - room :] if room < len(idle) else idle
        resident = tuple(known for known in self.versions if known in kept or known not in idle)
        return self.model_copy(update={"versions": (*resident, version)})

    def promote(self, name: str) -> Self:
        """That version answers. Raises AdapterRefused for one that is not resident."""
        found = next((version for version in self.versions if version.name == name), None)
        if found is None:
            raise AdapterRefused(f"{name} is not published; there are {', '.join(version.name for version in self.versions)}")
        names = tuple(known for known in self.answering.get(found.persona, ()) if known != name)
        return self.model_copy(update={"answering": self.answering | {found.persona: (*names, name)}})

    def rollback(self, persona: str) -> Self:
        """The version before answers again. Where there is none, or it had to make room, a persona beside the six answers no more.

        Raises AdapterRefused for one of the six, which must answer.
        """
        *before, _ = self.answering.get(persona, ("",))
        resident = tuple(name for name in before if any(name == version.name for version in self.versions))
        if not resident and (persona in LABELS or persona not in self.answering):
            raise AdapterRefused(f"no earlier version of {persona} is resident")
        others = {known: names for known, names in self.answering.items() if known != persona}
        return self.model_copy(update={"answering": others | ({persona: resident} if resident else {})})
