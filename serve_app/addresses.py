"""Which network addresses a document may be fetched from.

The lists follow IANA's registries of special-purpose addresses for IPv4 and IPv6, as of 2026. Of IPv6
only the global unicast space is allowed at all, so that every form in which an IPv4 address can be
wrapped (mapped, 6to4, NAT64, Teredo, ISATAP) is refused, whatever is inside.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_PRIVATE_V4 = tuple(
    map(
        IPv4Network,
        (
            "10.0.0.0/8",  # RFC 1918
            "100.64.0.0/10",  # RFC 6598, between a provider and its customers
            "127.0.0.0/8",  # loopback
            "172.16.0.0/12",
            "192.168.0.0/16",
        ),
    )
)
_NEVER_V4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host
            "100.100.100.200/32",  # a cloud's metadata, within the shared space
            "168.63.129.16/32",  # a cloud's host, on a public address
            "169.254.0.0/16",  # link-local, and the metadata of most clouds
            "192.0.0.0/24",  # protocol assignments, and a cloud's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)
_PRIVATE_V6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_GLOBAL_V6 = IPv6Network("2000::/3")
_NEVER_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
            "fd00:ec2::/32",  # a cloud's metadata, within the private space
            "fd20:ce::/32",  # another's
        ),
    )
)
_ISATAP = {0x00005EFE, 0x02005EFE}
"""Upper half of an interface identifier that holds an IPv4 address (RFC 5214, section 6.1)."""


def is_allowed(address: Address, *, private: bool = False) -> bool:
    """Tell whether an address may be connected to.

    Args:
        address: to look at.
        private: whether loopback and private networks are allowed too; link-local, metadata, multicast
            and reserved addresses never are.
    """
    if isinstance(address, IPv4Address):
        if _within(address, _NEVER_V4):
            return False
        return private or not _within(address, _PRIVATE_V4)
    if address.scope_id is not None or _within(address, _NEVER_V6):
        return False
    if _within(address, _PRIVATE_V6):
        return private
    return address in _GLOBAL_V6 and (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP


def _within(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def is_plain_host(host: str) -> bool:
    """Tell whether a host is a name, or an address in its one usual form.

    Resolvers also take `2130706433`, `0x7f.1` and `0177.0.0.1` for 127.0.0.1. Nobody writes the address
    of a document like that in good faith. A host is meant as a number if its last label is one, as the
    WHATWG URL standard has it.
    """
    if ":" in host:
        return "%" not in host
    last = host.removesuffix(".").rpartition(".")[2].lower()
    if not last:
        return False
    if last.isdecimal() or (last.startswith("0x") and all(char in "0123456789abcdef" for char in last[2:])):
        try:
            return str(ip_address(host)) == host
        except ValueError:
            return False
    return True
