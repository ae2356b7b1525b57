"""Errors of training, one branch of the tree in `models.errors`.

FyeError
└── TrainingError        a training that failed for a reason of its own
    ├── RecipeError      a recipe file or an override that is not valid
    ├── DatasetError     a public data set that cannot be loaded
    ├── LeakError        training data that contains a text of an evaluation split
    ├── BackendError     a training backend that this machine cannot run
    ├── PublishError     a run that cannot be published as asked
    ├── LintError        training data that breaks a rule of the linter
    └── ReadingError     answers, a key or marks of a reading that cannot be used

To add an error, subclass TrainingError and give it a `type` slug of its own.
"""

from models.errors import FyeError


class TrainingError(FyeError):
    """Base class of the errors of training."""

    type = "training"


class RecipeError(TrainingError):
    """A recipe file or an override that is not valid."""

    type = "recipe"


class DatasetError(TrainingError):
    """A public data set that cannot be loaded."""

    type = "dataset"


class LeakError(TrainingError):
    """Training data that contains a text of an evaluation split."""

    type = "leak"


class BackendError(TrainingError):
    """A training backend that this machine cannot run."""

    type = "backend"


class PublishError(TrainingError):
    """A run that cannot be published as asked."""

    type = "publish"


class LintError(TrainingError):
    """Training data that breaks a rule of the linter."""

    type = "lint"


class ReadingError(TrainingError):
    """Answers, a key or marks of a reading that cannot be used."""

    type = "reading"
