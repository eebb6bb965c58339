"""One running service: its workers, its folder of uploads, its counters."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from vocalics.service.line import Line
from vocalics.service.metrics import Metrics
from vocalics.service.refusals import Refused
from vocalics.service.settings import Settings
from vocalics.service.spool import Spool
from vocalics.service.streams import Streams


class Service:
    """What stands behind the routes: entered, it starts its workers; left, it ends them.

    Parameters
    ----------
    settings
        Models and limits.

    Attributes
    ----------
    settings
        As given.
    metrics
        The counters.
    spool
        Where uploads lie.
    line
        The workers for recordings, and who waits for them.
    streams
        The workers for streams.
    cards
        What the models say of themselves, by their names, the first one first; empty until it is entered.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.spool = Spool(settings.max_spool_bytes)
        self.line = Line(settings, self.metrics)
        self.streams = Streams(settings, self.metrics)
        self.cards: dict[str, dict[str, Any]] = {}
        self.metrics.spool_bytes.set_function(lambda: self.spool.used_bytes)
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start; `VocalicsError` where a model cannot be used."""
        async with AsyncExitStack() as stack:
            stack.enter_context(self.spool)
            stack.push_async_callback(self.streams.close)
            cards = await self.line.start()
            stack.push_async_callback(self.line.close)
            self.cards = {card["name"]: card for card in cards}
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        await self._open.aclose()

    def card(self, name: str | None) -> dict[str, Any]:
        """Return the card of the model that a client names, or of the first one.

        Raises
        ------
        Refused
            There is none of that name.
        """
        wanted = next(iter(self.cards)) if name is None else name
        if wanted not in self.cards:
            known = ", ".join(f"'{one}'" for one in self.cards)
            raise Refused(422, f"there is no model '{wanted[:100]}'; this service has {known}.")
        return self.cards[wanted]
