"""Alerts: what is told to whom, when something goes wrong and when it is right again.

`wrong` finds what is wrong now, from the status and the incidents, so that it is the same for runs of the
daemon and of the command. `plan` decides what to say to each target. `words` writes the message, `send` sends
it. `tell` does all of this once, and keeps in the lake what was told. What wakes it does not belong here.
"""

from fixity.alerts.send import ask, send
from fixity.alerts.tell import Send, Told, note_heartbeat, note_tick, targets_of, tell

__all__ = ["Send", "Told", "ask", "note_heartbeat", "note_tick", "send", "targets_of", "tell"]
