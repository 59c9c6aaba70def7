"""Connections kept within bounds: how many there are, how long headers may be and take, how long nobody reads."""

from asyncio import BaseTransport, TimerHandle, Transport
from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import Protocol, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from winpredict.app.networks import network_of
from winpredict.config import App

#: Seconds in which a caller must take some of an answer.
_NOBODY_READS_S = 60.0


class Held(Protocol):
    """A connection, as far as it is counted."""

    def give_way(self) -> None:
        """End, since a new one needs the place."""


class Connections:
    """Those that there are, by the network that they come from.

    Where there are as many as may be, a new one takes the place of the one that has been silent for longest: one that
    has not sent its headers, or whose requests are all answered.

    Parameters
    ----------
    most, most_a_network : int
    proxies : collection of str
        Addresses or networks that may have as many as there are; "*" for all.

    Examples
    --------
    >>> class Example:
    ...     def __init__(self, name):
    ...         self.name = name
    ...     def give_way(self):
    ...         print(self.name, "gives way")
    >>> connections = Connections(most=4, most_a_network=2, proxies=["10.0.0.0/8"])
    >>> first, second, third = Example("first"), Example("second"), Example("third")
    >>> connections.admit(first, "192.0.2.1"), connections.admit(second, "192.0.2.1")
    (True, True)
    >>> connections.working(first, "192.0.2.1")
    >>> connections.admit(third, "192.0.2.1")
    second gives way
    True
    >>> connections.working(third, "192.0.2.1")
    >>> connections.admit(second, "192.0.2.1")
    False
    """

    def __init__(self, most: int, most_a_network: int, proxies: Collection[str] = ()) -> None:
        self._most, self._most_a_network = most, most_a_network
        self._proxies = [ip_network(each, strict=False) for each in proxies if each != "*"]
        self._any_is_proxy = "*" in proxies
        self._there: dict[str, dict[Held, None]] = {}
        # of those that are there, in the order in which they fell silent
        self._silent: dict[str, dict[Held, None]] = {}
        self._count = 0

    def admit(self, connection: Held, address: str) -> bool:
        """Count one more, which is silent at first; false where there is no place for it."""
        network = network_of(address)
        if len(self._there.get(network, ())) >= self._most_a_network and not self._is_proxy(address):
            if not self._make_room(network):
                return False
        elif self._count >= self._most and not self._make_room(max(self._there, key=self._size)):
            return False
        self._there.setdefault(network, {})[connection] = None
        self._silent.setdefault(network, {})[connection] = None
        self._count += 1
        return True

    def working(self, connection: Held, address: str) -> None:
        """Note that there is a request to be answered."""
        self._silent.get(network_of(address), {}).pop(connection, None)

    def silent(self, connection: Held, address: str) -> None:
        """Note that all requests are answered."""
        network = network_of(address)
        if connection in self._there.get(network, ()):
            self._silent.setdefault(network, {})[connection] = None

    def leave(self, connection: Held, address: str) -> None:
        """Count one less, if it was counted."""
        self._leave(connection, network_of(address))

    def _leave(self, connection: Held, network: str) -> None:
        there = self._there.get(network, {})
        if connection not in there:
            return
        del there[connection]
        self._count -= 1
        self._silent.get(network, {}).pop(connection, None)
        if not there:
            del self._there[network]
            self._silent.pop(network, None)

    def _size(self, network: str) -> int:
        return len(self._silent.get(network, ()))

    def _make_room(self, network: str) -> bool:
        """End the connection of a network that has been silent for longest; whether there is one."""
        longest = next(iter(self._silent.get(network, ())), None)
        if longest is None:
            return False
        self._leave(longest, network)
        longest.give_way()
        return True

    def _is_proxy(self, address: str) -> bool:
        try:
            return self._any_is_proxy or any(ip_address(address) in each for each in self._proxies)
        except ValueError:  # a socket of this machine
            return True


def bounded(settings: App) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with bounds for what uvicorn has none for: headers, connections, and answers nobody reads.

    Parameters
    ----------
    settings : App
    """
    connections = Connections(settings.connections, settings.connections_per_address, settings.proxies)
    longest = settings.largest_header_kb * 1024

    class Bounded(HttpToolsProtocol):
        """A connection within bounds."""

        _address = ""
        _is_refused = False
        _is_in_headers = True
        _header_bytes = _trailer_bytes = 0
        _until_headers: TimerHandle | None = None
        _until_read: TimerHandle | None = None

        def connection_made(self, transport: BaseTransport) -> None:
            super().connection_made(cast("Transport", transport))
            self._address = self.client[0] if self.client else ""
            self._expect_headers()
            if not connections.admit(self, self._address):
                self._refuse(503)

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timers()
            connections.leave(self, self._address)
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._is_refused or self.transport.is_closing():
                return
            if self._is_in_headers:
                self._header_bytes += len(data)
            super().data_received(data)
            if self._is_in_headers and self._header_bytes:
                if self._until_headers is None:  # the first of a further request
                    self._expect_headers()
                if self._header_bytes > longest:
                    self._refuse(431)

        def on_header(self, name: bytes, value: bytes) -> None:
            super().on_header(name, value)
            if not self._is_in_headers:  # what follows a body in chunks, and is kept as long as the connection lasts
                self._trailer_bytes += len(name) + len(value)
                if self._trailer_bytes > longest:
                    self._refuse(431)

        def on_headers_complete(self) -> None:
            self._is_in_headers = False
            self._header_bytes = self._trailer_bytes = 0
            if self._until_headers is not None:
                self._until_headers.cancel()
                self._until_headers = None
            if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > longest:
                self._refuse(431)
            if not self._is_refused:
                connections.working(self, self._address)
                super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            if not self._is_refused:
                super().on_body(body)

        def on_message_complete(self) -> None:
            self._is_in_headers = True
            if not self._is_refused:
                super().on_message_complete()

        def on_response_complete(self) -> None:
            is_last = not self.pipeline
            super().on_response_complete()
            if is_last:
                connections.silent(self, self._address)

        def pause_writing(self) -> None:
            super().pause_writing()
            self._until_read = self.loop.call_later(_NOBODY_READS_S, self.transport.abort)

        def resume_writing(self) -> None:
            if self._until_read is not None:
                self._until_read.cancel()
                self._until_read = None
            super().resume_writing()

        def give_way(self) -> None:
            self._is_refused = True
            self.transport.abort()

        def _expect_headers(self) -> None:
            self._until_headers = self.loop.call_later(settings.slowest_header_s, self._refuse, 408)

        def _stop_timers(self) -> None:
            for each in (self._until_headers, self._until_read):
                if each is not None:
                    each.cancel()

        def _refuse(self, status: int) -> None:
            if self._is_refused or self.transport.is_closing():
                return
            self._is_refused = True
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
            self.transport.close()

    return Bounded
