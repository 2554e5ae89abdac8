# SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
"""What tests need to make frames of their own."""
import struct


def checksum(raw):
    """The Internet checksum."""
    value = sum(struct.unpack(f"!{(len(raw) + 1) // 2}H", raw + b"\0" * (len(raw) & 1)))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return ~value & 0xffff


def mac(net, name):
    """The link address of an interface."""
    return bytes.fromhex(net.ip("-o", "link", "show", name).split("link/ether ")[1].split()[0].replace(":", ""))
