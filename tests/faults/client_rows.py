"""Rows of the fault matrix: who calls the exchange, and whom it calls."""

import json
import subprocess
import threading
import time

from tests.contract.test_hostile_clients import dribble, repeated
from tests.faults.fleet import Fleet, pause
from tests.faults.oracles import judge
from tests.faults.row import Budget, Row, seconds_to_recover, trading
from tests.support.receiver import Receiver
from tests.support.running import EXCHANGE, clean_environment


def bad_receivers(seed: int, budget: Budget) -> Row:
    """Receivers that hang: the others are told all the same."""

    def hang(_handler: object) -> None:
        pause(15)

    with Fleet() as fleet:
        with Receiver(hang) as hanging:
            for n in range(3):
                fleet.register(f"hanging {n}", hanging.url)
            with trading(fleet, seed) as load:
                pause(3)
                verdict = judge(load)
        return Row("webhook receivers that hang", seed, verdict)


def hostile_clients(seed: int, budget: Budget) -> Row:
    """Two hundred clients that send a byte now and then, or a head without end."""
    with Fleet() as fleet, trading(fleet, seed) as load:
        before = fleet.memory_mib()["http-1"]
        seconds: list[float] = []

        def attack(opening: bytes, drop: bytes) -> None:
            seconds.append(dribble(fleet.port, opening, repeated(drop)))

        head = b"POST /orders HTTP/1.1\r\nhost: x\r\n"
        endless = head + b"x-a: " + b"a" * 1_000_000
        body = head + b"content-length: 5000\r\n\r\n"
        attacks = [(b"", b""), (head, b"x-a: b\r\n"), (body, b"{"), (endless, b"a" * 1000)] * 50
        threads = [threading.Thread(target=attack, args=parts) for parts in attacks]
        for thread in threads:
            thread.start()
        at = time.monotonic()
        recovered = [seconds_to_recover(load, at)]
        for thread in threads:
            thread.join()
        grown = fleet.memory_mib()["http-1"] - before
        verdict = judge(load)
        if max(seconds) > 15:
            verdict.problems.append(f"a slow client was kept for {max(seconds):.0f} s")
        if grown > 50:
            verdict.problems.append(f"http grew by {grown:.0f} MiB")
        note = f"closed in {max(seconds):.1f} s at most, http +{grown:.0f} MiB"
        return Row("slow and hostile clients", seed, verdict, len(threads), recovered, note)


def overload(seed: int, budget: Budget) -> Row:
    """Ten times what the machine sustains, from `exchange simulate`, beside the brokers: the
    surplus is refused before it is taken, and it is over by itself."""
    with (
        Fleet(EXCHANGE_INGRESS_BACKLOG_MAX="500") as fleet,
        trading(fleet, seed, webhooks=0) as load,
    ):
        flood = subprocess.run(
            [
                *(*EXCHANGE, "simulate", "--scale", "2400", "--json"),
                *("--duration", str(int(budget.overload_seconds))),
            ],
            env=clean_environment(
                EXCHANGE_URL=fleet.url,
                EXCHANGE_ADMIN_KEY=fleet.admin_key,
                EXCHANGE_DATABASE_URL=fleet.postgres.url,
            ),
            capture_output=True,
            text=True,
            timeout=budget.overload_seconds + 500,
            check=False,
        )
        recovered = [seconds_to_recover(load, time.monotonic())]
        verdict = judge(load, with_reference=False)
        result = json.loads(flood.stdout or "{}")
        if "requests" not in result:
            verdict.problems.append(flood.stdout[-500:] + flood.stderr[-500:])
            return Row("overload, 10 times", seed, verdict, 1, recovered)
        verdict.problems += [name for name, said in result["checks"].items() if said == "failed"]
        if not result["refused"]:
            verdict.problems.append("nothing was refused")
        verdict.acknowledged += result["checked"]["orders"]
        admitted = sorted(s.seconds for s in load.acknowledged())
        p99 = admitted[int(len(admitted) * 0.99)] * 1000
        kinds = result["error_kinds"]
        verdict.problems += [
            f"{count} times: {what}" for what, count in kinds.items() if not _is_own(what)
        ]
        note = (
            f"{result['requests']} answered, {result['refused']} of them refused;"
            f" {result['errors']} not sent for want of a connection ({kinds});"
            f" the brokers beside it: p99 {p99:.0f} ms, most {admitted[-1] * 1000:.0f} ms"
        )
        return Row("overload, 10 times", seed, verdict, 1, recovered, note)


def _is_own(error: str) -> bool:
    """Whether an error is one of the flood itself: it found no connection, so that it has not sent
    the request at all. A connection that breaks or another answer is an error of the exchange."""
    return error.startswith(("connect: ", "not sent "))
