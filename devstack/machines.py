"""Machines for workers: network namespaces of their own, which a switch joins to this machine.

    ours ── switch ══ eth0 of machine 1        with Network() as network:
                   ══ eth0 of machine 2            machine = network.join("machine-1")
                                                   machine.cut()

A cut takes the machine's cable out of the switch: what either side sends is lost, and nobody is told. Each
machine also has process ids and a host name of its own, and shares the files. Nothing of it has a name that
could be left behind: a namespace, and the cables in it, end with the process that holds it, and the kernel
ends that one, with all that runs there, when ours ends in whatever way.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

_TIMEOUT = 30.0  # seconds
_NETWORKS = 1 << 13  # of 16 addresses each, in 198.18.0.0/15, which no real network has (RFC 2544)
_MOST = 13  # machines: one of the 16 addresses is ours, two are the network's own


class NotAllowed(RuntimeError):
    """This machine does not let us make namespaces. The message says why."""


class Network:
    """A network of machines, for the length of a `with` block.

    `address` is ours in it: a server that listens there is reached from here and from all machines.
    Raises NotAllowed.
    """

    def __init__(self) -> None:
        first = (198 << 24) + (18 << 16) + 16 * (os.getpid() % _NETWORKS)
        self._addresses = [".".join(map(str, (first + host).to_bytes(4))) for host in range(_MOST + 2)]
        self.address = self._addresses[1]
        self.machines: list[Machine] = []
        self.cable = f"fixity{os.getpid()}"  # names of cables have 15 characters at most

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._switch = stack.enter_context(Machine("switch"))
            within = f"netns {self._switch.pid}"
            _ip(f"link add {self.cable} type veth peer name ours {within}")
            # Else a new one could not have the name until the kernel has cleaned up.
            stack.callback(subprocess.run, ["ip", "link", "del", self.cable], check=False)
            _ip(f"address add {self.address}/28 dev {self.cable}")
            _ip(f"link set {self.cable} up")
            self._switch.ip("link add bridge type bridge")
            self._switch.ip("link set bridge up")
            self._switch.ip("link set ours master bridge up")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def join(self, name: str) -> Machine:
        """A new machine in the network. Raises NotAllowed."""
        machine = self._stack.enter_context(Machine(name, self._switch))
        self.machines.append(machine)
        machine.ip(f"link add eth0 type veth peer name {machine.name} netns {self._switch.pid}")
        machine.ip(f"address add {self._addresses[len(self.machines) + 1]}/28 dev eth0")
        machine.ip("link set lo up")
        machine.ip("link set eth0 up")
        # As behind a router: while the cable is out, a connection that is opened hangs, and is not refused.
        ours = Path(f"/sys/class/net/{self.cable}/address").read_text().strip()
        machine.ip(f"neighbour replace {self.address} lladdr {ours} dev eth0 nud permanent")
        machine.plug_in()
        return machine


class Machine:
    """A machine, for the length of a `with` block. At its end all that runs there is killed.

    Arguments: `name`, its host name, of 15 characters at most; `switch`, what its cable goes to.
    Raises NotAllowed.
    """

    def __init__(self, name: str, switch: Machine | None = None) -> None:
        self.name = name
        self._switch = switch

    def __enter__(self) -> Self:
        held = ["unshare", "--net", "--uts", "--pid", "--fork", "--kill-child"]
        shell = ["sh", "-c", 'hostname "$0" && echo ready && exec sleep infinity', self.name]
        try:
            self._holder = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *held, *shell],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,  # Ctrl-C is for whoever started it
            )
        except FileNotFoundError as error:
            raise NotAllowed(f"Debian's packages util-linux and iproute2 are needed: {error}") from error
        assert self._holder.stdout is not None
        if (said := self._holder.stdout.readline().strip()) != "ready":
            self._end()
            raise NotAllowed(f"root may make namespaces, or who has CAP_SYS_ADMIN and CAP_NET_ADMIN: {said}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _end(self) -> None:
        self._holder.kill()
        self._holder.communicate()

    @property
    def pid(self) -> int:
        """The process that holds its namespaces, as it is named outside."""
        return self._holder.pid

    def within(self, *command: str) -> Sequence[str]:
        """The words that run a command there."""
        namespaces = f"/proc/{self.pid}/ns"
        others = [f"--uts={namespaces}/uts", f"--pid={namespaces}/pid_for_children"]
        return ["nsenter", f"--net={namespaces}/net", *others, *command]

    def ip(self, words: str) -> None:
        """Run `ip` there. Raises NotAllowed."""
        _ip(words, "nsenter", f"--net=/proc/{self.pid}/ns/net")  # its process ids are ours

    def cut(self) -> None:
        """Take out its cable: what was sent and has not arrived is lost, and so is all that is sent now."""
        assert self._switch is not None
        self._switch.ip(f"link set {self.name} down")

    def plug_in(self) -> None:
        """Put its cable into the switch."""
        assert self._switch is not None
        self._switch.ip(f"link set {self.name} master bridge up")


def _ip(words: str, *within: str) -> None:
    try:
        done = subprocess.run(
            [*within, "ip", *words.split()], check=False, capture_output=True, text=True, timeout=_TIMEOUT
        )
    except FileNotFoundError as error:
        raise NotAllowed(f"Debian's package iproute2 is needed: {error}") from error
    if done.returncode:
        raise NotAllowed(f"ip {words}: {done.stderr.strip()}")
