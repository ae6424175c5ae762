"""What is handed over when a step runs elsewhere: in a process or a container, or by hand.

    effreason step train order.json

Any step of any run can be replayed so. The order is all that the step is told.
"""

from effreason.choices import Home
from effreason.frozen import Frozen
from effreason.specs import Spec
from effreason.workbench import Runtime


class Order(Frozen):
    """The task of a step process. Made by the launcher; read by `effreason step`."""

    spec: Spec
    store: Home
    runtime: Runtime = Runtime()
