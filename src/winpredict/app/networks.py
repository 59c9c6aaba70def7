"""Network addresses, as those who ask are told apart by them."""

from ipaddress import IPv6Address, ip_address, ip_network


def network_of(address: str) -> str:
    """What an address counts as: of IPv6 the first half, since the other half is the asker's to choose.

    Examples
    --------
    >>> network_of("192.0.2.1"), network_of("2001:db8::1"), network_of("::ffff:192.0.2.1"), network_of("testclient")
    ('192.0.2.1', '2001:db8::/64', '192.0.2.1', 'host testclient')
    """
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return f"host {address[:50]}"  # a name, as of a socket
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or ip_network((found, 64), strict=False))
    return str(found)
