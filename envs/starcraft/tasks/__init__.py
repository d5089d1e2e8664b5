"""Tasks and task sets by name: which armies fight."""

from .names import NAMED_TASKS as NAMED_TASKS
from .names import TASK_SETS as TASK_SETS
from .names import UNIT_LETTERS as UNIT_LETTERS
from .reading import parse_task as parse_task
from .reading import parse_tasks as parse_tasks
from .task import Composition as Composition
from .task import Fixed as Fixed
from .task import Task as Task
