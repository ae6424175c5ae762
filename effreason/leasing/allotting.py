"""Who gets what: first come, first served, several devices all at once.

Claims are met in the order in which they came. One that cannot be met keeps all devices that it could use from those
behind it, so it is the next to get them: nobody starves, and since nobody holds one device while waiting for another,
nobody waits for ever. A claim behind it that can use other devices gets those.
"""

from collections.abc import Iterable, Mapping

from effreason.leasing.records import Claim

ROUNDING = 1e-9
"""The tolerance of sums of fractions, with which three thirds are a whole."""


class FreeDevices:
    """The free parts of devices, while claims are met in their order."""

    def __init__(self, leased: Iterable[Mapping[str, float]]) -> None:
        """Subtract from whole devices what each of `leased` takes of its devices."""
        self._free: dict[str, float] = {}
        for parts in leased:
            self._take(parts)

    def allot(self, claim: Claim) -> dict[str, float] | None:
        """Return the devices and fractions that the claim gets; None if it, and all claims on these devices, must
        wait."""
        fitting = [device for device, part in claim.parts.items() if part <= self._left(device) + ROUNDING]
        if len(fitting) < claim.count:
            self._free.update(dict.fromkeys(claim.parts, 0.0))
            return None
        # The fullest that has room for it, so that whole devices are left for those who need a whole one.
        chosen = sorted(fitting, key=self._left)[: claim.count]
        parts = {device: claim.parts[device] for device in chosen}
        self._take(parts)
        return parts

    def spent(self, devices: Iterable[str]) -> bool:
        """Return whether nothing is left of any of them."""
        return all(self._left(device) <= ROUNDING for device in devices)

    def _left(self, device: str) -> float:
        return self._free.get(device, 1.0)

    def _take(self, parts: Mapping[str, float]) -> None:
        for device, part in parts.items():
            self._free[device] = self._left(device) - part
