"""The messages a session understands: one class per command and query.

A command asks a session to change, a query to answer. Send them with `Runtime.ask` and `Runtime.tell`. Values are
checked and encoded when the message is made, so a message never changes on its way and a bad one is never sent.
"""

from __future__ import annotations

from greenroom.actors.messages.values.records import *
from greenroom.actors.messages.values.variables import *

from .approvals import *
from .artifacts import *
from .batch import *
from .calls import *
from .checks import *
from .conversation import *
from .core import *
from .events import *
from .forking import *
from .internal import *
from .lifecycle import *
from .permissions import *
from .sharing import *
