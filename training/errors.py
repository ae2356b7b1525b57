"""Errors of training. A branch of the tree in `models.errors`; the statuses are never sent, for training answers no request.

FyeError                        500
└── TrainingError               500
    ├── RecipeError             422   a recipe or an override that says something impossible
    ├── LeakError               500   a text of an evaluation split stands in the training data
    ├── BackendError            503   a backend that this machine does not have
    └── LintError               422   training data that breaks a rule of the linter
"""

from models.errors import FyeError


class TrainingError(FyeError):
    type = "training"


class RecipeError(TrainingError):
    status = 422
    type = "recipe"


class LeakError(TrainingError):
    type = "leak"


class BackendError(TrainingError):
    status = 503
    type = "backend"


class LintError(TrainingError):
    status = 422
    type = "lint"
