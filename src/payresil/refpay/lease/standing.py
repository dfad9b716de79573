"""Whether an instance may act, and in which epoch: with a lease, or without any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from payresil.refpay.lease.held import Lease


class Standing:
    """``lease`` None: the service has one region, and acts whenever it runs.

    ``acts`` says whether it acts, given whether the lease is held.
    """

    def __init__(self, lease: Lease | None, acts: Callable[[bool], bool]) -> None:
        self._lease = lease
        self._acts = acts

    @property
    def acts(self) -> bool:
        """May it take payments and ask the PSP, now?"""
        return self._lease is None or self._acts(self._lease.held)

    @property
    def epoch(self) -> int | None:
        """The last epoch known of its own region; None without a lease, or before the first."""
        return None if self._lease is None else self._lease.epoch

    def until(self) -> datetime | None:
        """Up to when the database may admit what is asked of it now; None: for ever.

        A statement may come late, after the lease ran out. The databases' clocks must agree
        with ours to within the margin of the lease.
        """
        if self._lease is None or self._acts(False):
            return None
        return datetime.now(UTC) + timedelta(seconds=self._lease.left_s)

    def session(self) -> Mapping[str, str]:
        """Settings of a database session, from which rows take their epoch and region."""
        if self._lease is None or self._lease.epoch is None:
            return {}
        return {"refpay.epoch": str(self._lease.epoch), "refpay.region": self._lease.region}
