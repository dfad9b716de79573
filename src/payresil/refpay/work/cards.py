"""Cards of payments whose outcome is unknown: in memory, for a while, nowhere else."""

from __future__ import annotations

from time import monotonic

from payresil.refpay.psp.answer import Json


class HeldCards:
    """Payment methods by payment, each for ``hold_ms`` and at most ``most`` at once.

    With its card a payment that may never have reached the PSP can be sent again with the same
    key. Without it, the service can only ask, and give the payment up for good.
    """

    def __init__(self, hold_ms: int, most: int = 5000) -> None:
        self._hold = hold_ms / 1000
        self._most = most
        self._held: dict[str, tuple[float, Json]] = {}

    def hold(self, payment: str, method: Json) -> bool:
        """Keep a method; False where there are too many."""
        if len(self._held) >= self._most:
            return False
        self._held.setdefault(payment, (monotonic() + self._hold, method))
        return True

    def get(self, payment: str) -> Json | None:
        held = self._held.get(payment)
        return held[1] if held and held[0] > monotonic() else None

    def drop(self, payment: str) -> None:
        self._held.pop(payment, None)

    def next(self, most: int) -> list[str]:
        """Up to ``most`` payments, those not looked at for longest; each then goes to the back."""
        now = monotonic()
        chosen = []
        for payment in list(self._held)[:most]:
            until, method = self._held.pop(payment)
            if until > now:
                self._held[payment] = (until, method)
                chosen.append(payment)
        return chosen

    def payments(self) -> list[str]:
        return list(self._held)

    def __len__(self) -> int:
        return len(self._held)
