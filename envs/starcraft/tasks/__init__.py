"""Tasks and task sets by name: which armies fight."""

from .grammar import MOST_UNITS as MOST_UNITS
from .letters import UNIT_LETTERS as UNIT_LETTERS
from .names import NAMED_TASKS as NAMED_TASKS
from .names import NO_TASKS as NO_TASKS
from .names import WEIGHTED_TASKS as WEIGHTED_TASKS
from .reading import parse_task as parse_task
from .reading import parse_tasks as parse_tasks
from .reading import tasks_by_word as tasks_by_word
from .sets import TASK_SETS as TASK_SETS
from .task import Composition as Composition
from .task import Fixed as Fixed
from .task import Task as Task
