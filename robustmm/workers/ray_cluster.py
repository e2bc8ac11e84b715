"""A Ray cluster that is asked to run jobs. Ray is an extra; nothing imports it before it is asked for."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from robustmm.errors import DataError, UsageError

LOCAL, REMOTE = "ray", "ray://"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it calls home
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # every line: Ray would print workers' deaths among our results
}


@dataclass(frozen=True)
class RayCluster:
    """What of a cluster is asked for: `workers` processes (None: all that it has room for), each with some CPU cores
    and GPUs. Every worker calls `check` before its first job; what that raises ends the work."""

    address: str
    workers: int | None
    cores: int
    gpus: int
    check: Callable[[], object]
    note: Callable[[str], None]

    @property
    def name(self) -> str:
        return "Ray" if self.address == LOCAL else f"Ray at {self.address}"

    @property
    def share(self) -> dict[str, int]:
        """What one worker takes, in Ray's words."""
        return {"CPU": self.cores} | ({"GPU": self.gpus} if self.gpus else {})

    def describe_share(self) -> str:
        return " and ".join(f"{number} {kind}" for kind, number in self.share.items())


def check_address(address: str) -> None:
    """Raises UsageError for what is no address of a cluster, or where Ray is not installed."""
    if address != LOCAL and not address.removeprefix(REMOTE).count(":") == 1 == address.startswith(REMOTE):
        raise UsageError(f"--on should be ray (this machine, or RAY_ADDRESS) or ray://HOST:PORT, found {address}")
    import_ray()


def import_ray() -> Any:
    """Raises UsageError where Ray is not installed."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        return import_module("ray")
    except ImportError as error:
        raise UsageError("--on ray needs Ray: pip install 'robustmm[ray]'") from error


@contextmanager
def connect_ray(cluster: RayCluster) -> Iterator[Any]:
    """The module `ray`, connected; a connection that is there already is used, and stays. Raises DataError for a
    cluster that cannot be reached."""
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    try:
        ray.init(
            address=None if cluster.address == LOCAL else cluster.address,
            include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split())
        raise DataError(
            f"{cluster.name} cannot be reached, or is of another version, or wants RAY_AUTH_MODE=token and its token: "
            f"{said}"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def count_room(ray: Any, cluster: RayCluster) -> int:
    """The workers that are asked for, or as many as the cluster has room for. Raises UsageError where it has no room
    for one."""
    has = ray.cluster_resources()
    room = min(int(has.get(kind, 0) // number) for kind, number in cluster.share.items())
    if room < 1:
        found = ", ".join(f"{has.get(kind, 0):g} {kind}" for kind in cluster.share)
        raise UsageError(f"a worker takes {cluster.describe_share()}, and {cluster.name} has {found} in all")
    return min(cluster.workers or room, room)
