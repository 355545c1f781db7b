"""A small world of its own for calls to webhooks: run in a network namespace, by test_ssrf.py.

There is a real DNS server, which the resolver of the C library asks, a receiver at an address that
is public here, and one on loopback that no call may reach. What was tried and what has come is
printed as JSON.
"""

import asyncio
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dnslib
from dnslib.server import DNSHandler, DNSLogger, DNSServer

from notifier.delivery import Deliverer
from protocol.endpoints import WebhookEndpoint
from protocol.webhooks import QueuedMessage

PUBLIC = "93.184.216.34"
PORT = 8080
SILENT_SECONDS = 3
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
_MS_BIND = 4096

RECORDS = {
    "public": [PUBLIC],
    "loopback": ["127.0.0.1"],
    "any": ["0.0.0.0"],
    "private": ["10.0.0.5"],
    "shared": ["100.64.0.1"],
    "metadata": ["169.254.169.254"],
    "loopback6": ["::1"],
    "unique-local": ["fd00::1"],
    "link-local": ["fe80::1"],
    "site-local": ["fec0::1"],
    "mapped": ["::ffff:127.0.0.1"],
    "compatible": ["::7f00:1"],
    "six-to-four": ["2002:7f00:1::1"],
    "teredo": ["2001:0:5db8:d822:0:0:80ff:fffe"],
    "nat64": ["64:ff9b::7f00:1"],
    "nat64-local": ["64:ff9b:1::7f00:1"],
    "documentation": ["2001:db8::1"],
    "both": [PUBLIC, "127.0.0.1"],
    "both6": [PUBLIC, "64:ff9b::7f00:1"],
    "translated": ["::ffff:0:7f00:1"],
}
"""Names below ``.test`` and their addresses."""
REBINDING = "rebinding.test"
SILENT = "silent.test"
"""Its name server never answers."""
LITERALS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "localhost",
]


class Names:
    """Answers what ``RECORDS`` say. ``REBINDING`` is public once and loopback afterwards."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def resolve(self, request: dnslib.DNSRecord, _handler: DNSHandler) -> dnslib.DNSRecord:
        reply, name = request.reply(), str(request.q.qname).rstrip(".")
        kind = dnslib.QTYPE[request.q.qtype]
        self.asked[f"{name} {kind}"] += 1
        if name.endswith(SILENT):
            threading.Event().wait(SILENT_SECONDS)
        if name == REBINDING:
            addresses = [PUBLIC if self.asked[f"{name} A"] == 1 else "127.0.0.1"]
        else:
            addresses = RECORDS.get(name.removesuffix(".test"), [])
        for address in addresses:
            if kind == ("AAAA" if ":" in address else "A"):
                data = dnslib.AAAA(address) if kind == "AAAA" else dnslib.A(address)
                reply.add_answer(dnslib.RR(name, request.q.qtype, rdata=data, ttl=0))
        return reply


class Receiver:
    """Remembers the hosts and paths of the calls that have come to an address."""

    def __init__(self, address: str) -> None:
        self.calls: list[str] = []
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                calls.append(f"{self.headers['host']}{self.path}")
                self.rfile.read(int(self.headers["content-length"]))
                moved = self.path == "/moved"
                self.send_response(307 if moved else 200)
                if moved:
                    self.send_header("location", f"http://127.0.0.1:{PORT}/secret")
                self.send_header("content-length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                calls.append(f"{self.headers['host']}{self.path}")

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: what counts is in ``calls``."""

        server = ThreadingHTTPServer((address, PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()


def set_up() -> Names:
    """The public address, the DNS server, and a resolver that asks it."""
    for arguments in (f"addr add {PUBLIC}/32 dev lo", "link set lo up"):
        subprocess.run(["ip", *arguments.split()], check=True)
    with tempfile.TemporaryDirectory() as directory:
        asks = Path(directory, "resolv.conf")
        asks.write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
        libc = ctypes.CDLL(None, use_errno=True)
        target = os.path.realpath("/etc/resolv.conf").encode()
        if libc.mount(str(asks).encode(), target, None, _MS_BIND, None) != 0:
            raise OSError(ctypes.get_errno(), "resolv.conf cannot be replaced")
    names = Names()
    quiet = DNSLogger(logf=lambda _line: None)
    DNSServer(names, address="127.0.0.1", port=53, logger=quiet).start_thread()
    return names


async def call_all() -> dict[str, str]:
    """What became of a call to each host."""
    deliverer = Deliverer(allow_loopback=False)
    outcomes: dict[str, str] = {}

    async def call(title: str, host: str, path: str = "/") -> None:
        endpoint = WebhookEndpoint(title, "b", f"http://{host}:{PORT}{path}", SECRET)
        queued = QueuedMessage("trade.executed", 1, 1, b"{}")
        outcome = await deliverer.deliver(endpoint, "m", queued)
        outcomes[title] = f"{outcome.verdict}: {outcome.detail}"

    for name in RECORDS:
        await call(name, f"{name}.test")
    for literal in LITERALS:
        await call(literal, literal)
    await call("redirect", "public.test", "/moved")
    await call("rebinding 1", REBINDING, "/first")
    await call("rebinding 2", REBINDING, "/second")
    # Many endpoints whose names are never answered, and one that is as it should be.
    silent = [call(f"silent {n}", f"{n}.{SILENT}") for n in range(30)]
    waiting = [asyncio.create_task(one) for one in silent]
    await asyncio.sleep(0)
    began = time.monotonic()
    await call("beside the silent", "public.test", "/beside")
    outcomes["beside the silent"] += f" in {time.monotonic() - began:.3f} s"
    await asyncio.gather(*waiting)
    await deliverer.close()
    return outcomes


def main() -> None:
    names = set_up()
    public, loopback = Receiver(PUBLIC), Receiver("127.0.0.1")
    proxy = f"http://127.0.0.1:{PORT}"  # Of an environment that nobody may follow.
    os.environ |= {"HTTP_PROXY": proxy, "ALL_PROXY": proxy, "http_proxy": proxy}
    outcomes = asyncio.run(call_all())
    result = {
        "outcomes": outcomes,
        "public": public.calls,
        "loopback": loopback.calls,
        "asked": names.asked,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()
