"""Does the load measure the truth? A service stops for one second, and how long that took is known.

A tiny server answers at once; SIGSTOP halts its process for one second in the middle of the run.
Arrivals come at a constant rate, so the true latency of each is known from when it was due: until
the end of the stall for those due within it, nothing for the others. Measured beside that:

* payresil: the generator as it runs in every scenario, latency from its own table;
* Locust alone: FastHttpUser with constant_throughput at the same rate, latency as Locust reports
  it. Its users wait for the answer before they count on, so a stall hides most of itself.

Also what recording a row costs, and CPU per attempt of the generator. Takes about 15 s. Exit
status 1 when the p99 of payresil is off by more than 5 %.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import record
from payresil.core.plan import Plan
from payresil.core.scenario import Workload
from payresil.core.system import Api, Operation
from payresil.core.tables import Recorder, read_folder
from payresil.core.traffic import TrafficSpec
from payresil.core.values import Duration, Rate

RATE = 200.0  # a second, as the whole system is held to
USERS = 4  # of Locust's closed model: what a stall holds back is less than 1% of the samples
STEADY_S, STALL_S, AFTER_S = 1.5, 1.0, 2.5
WHOLE_S = STEADY_S + STALL_S + AFTER_S
ALLOWED = 0.05
QUANTILES = (0.50, 0.90, 0.95, 0.99)
ANSWER = b'{"id": "p", "state": "succeeded"}'


def serve() -> None:
    """The server: reads requests, answers each at once, prints its port."""

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.pending = b""

        def data_received(self, data: bytes) -> None:
            self.pending += data
            while b"\r\n\r\n" in self.pending:
                head, _, rest = self.pending.partition(b"\r\n\r\n")
                fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
                length = int(fields.get(b"content-length", b"0"))
                if len(rest) < length:
                    return
                self.pending = rest[length:]
                self.transport.write(
                    b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER)
                )

    async def forever() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Answering, "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(forever())


def closed_model(url: str) -> None:
    """Locust as it comes: prints when it starts, and its own percentiles in the end."""
    import gevent
    from locust import FastHttpUser, constant_throughput, task
    from locust.env import Environment

    class Payer(FastHttpUser):
        host = url
        wait_time = constant_throughput(RATE / USERS)

        @task
        def pay(self) -> None:
            self.client.post("/payments", data='{"amount": 1}')

    environment = Environment(user_classes=[Payer])
    runner = environment.create_local_runner()
    runner.spawn_users({"Payer": USERS})
    print("started", flush=True)
    gevent.sleep(WHOLE_S)
    total = environment.stats.total
    print(json.dumps({
        "samples": total.num_requests,
        **{f"p{q * 100:g}": total.get_response_time_percentile(q) for q in QUANTILES},
    }), flush=True)  # fmt: skip
    runner.quit()


def stall(pid: int, at_mono_s: float) -> tuple[float, float]:
    """Halt a process for a while; when it began and ended, on the monotonic clock in seconds."""
    time.sleep(max(0.0, at_mono_s - time.monotonic()))
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    time.sleep(STALL_S)
    ended = time.monotonic()
    os.kill(pid, signal.SIGCONT)
    return begun, ended


def percentiles(latencies_ms: list[float]) -> dict[str, float]:
    """The quantiles by name, in milliseconds: of n samples, the one that a share is not above."""
    ordered = sorted(latencies_ms)
    return {
        "samples": len(ordered),
        **{f"p{q * 100:g}": round(ordered[int(q * (len(ordered) - 1))], 2) for q in QUANTILES},
    }


def specification(url: str, folder: Path) -> TrafficSpec:
    """Constant arrivals from 0.5 s before zero to the end."""
    workload = Workload(
        Rate(RATE), Duration(WHOLE_S), {"checkout": 1}, Duration(0.5), arrivals="constant"
    )
    operations = {"create": Operation("POST /payments", {"ref": "{intent}"}, "id", "state")}
    return TrafficSpec(
        run="stall", zero_mono_ns=time.monotonic_ns() + 600_000_000, seed=1, workload=workload,
        api=Api(operations, final={"succeeded": "succeeded"}), base_url=url, folder=str(folder),
        api_token="none", card_numbers=("0",), card_cvc="0",
    )  # fmt: skip


def open_model(url: str, server: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the generator over the stall: what was true, and what it measured."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, pipe = Path(scratch), Path(scratch) / "orders"
        os.mkfifo(pipe)
        generator = subprocess.Popen(
            [sys.executable, "-m", "payresil.workloads.generator", "--spec", str(pipe)],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with pipe.open("wb") as stream:  # returns when the generator has loaded everything
            spec = specification(url, folder)
            stream.write(spec.encode())
        zero = spec.zero_mono_ns / 1e9
        begun, ended = (at - zero for at in stall(server, zero + STEADY_S))
        _, log = generator.communicate(timeout=30)
        rows = read_folder(folder)["attempts"].to_pylist()
    judged = [row for row in rows if row["due_ns"] >= 0]
    due = [each.due_s for each in Plan(1, spec.workload).arrivals() if each.due_s >= 0]
    truth = [(ended - at) * 1e3 if begun <= at < ended else 0.0 for at in due]
    lines = [json.loads(line) for line in log.splitlines()]
    cpu_s = lines[-1]["cpu_s"] - next(x["cpu_s"] for x in lines if x["event"] == "started")
    measured = percentiles([(row["done_ns"] - row["due_ns"]) / 1e6 for row in judged])
    lateness = percentiles([(row["sent_ns"] - row["due_ns"]) / 1e6 for row in judged])
    return percentiles(truth), {
        **measured,
        "lateness_p99": lateness["p99"],
        "cpu_ms_per_attempt": round(cpu_s * 1e3 / len(rows), 3),
    }


def locust_alone(url: str, server: int) -> dict[str, Any]:
    """Run Locust's closed model over the same stall."""
    locust = subprocess.Popen(_role("closed", url), stdout=subprocess.PIPE, text=True)
    assert locust.stdout is not None
    locust.stdout.readline()
    stall(server, time.monotonic() + STEADY_S)
    text, _ = locust.communicate(timeout=30)
    found: dict[str, Any] = json.loads(text)
    return found


def recording_us() -> dict[str, float]:
    """What one row of `attempts` costs, in microseconds, flushed by fifties as at 200/s."""
    row = (
        "run-1", 1, "pay", 1, "load", "checkout", "create", "run-1-pay", 100, "eur", 1, 2, 3,
        "ok", 201, None, "succeeded", "pay_1", False, "a", "a/service.1",
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        recorder = Recorder(Path(scratch), "attempts", "load")
        appending = flushing = 0.0
        for _ in range(400):
            begun = time.process_time()
            for _ in range(50):
                recorder.append(row)
            between = time.process_time()
            recorder.flush()
            appending += between - begun
            flushing += time.process_time() - between
        recorder.close()
    return {"append_us": round(appending * 50, 3), "flush_us": round(flushing * 50, 3)}


def _role(*role: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.stall", *role]


def _row(name: str, figures: dict[str, Any]) -> list[object]:
    return [name, figures["samples"], *(f"{figures[f'p{q * 100:g}']:g}" for q in QUANTILES)]


def main() -> int:
    """Run all of it, print the table and leave the figures; 1 when the p99 is off."""
    server = subprocess.Popen(_role("serve"), stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        truth, measured = open_model(url, server.pid)
        closed = locust_alone(url, server.pid)
    finally:
        server.kill()
        server.communicate()
    recording = recording_us()
    error = abs(measured["p99"] - truth["p99"]) / truth["p99"]
    print(record.table(
        f"A stall of {STALL_S:g} s in {WHOLE_S:g} s at {RATE:g}/s: latency in ms",
        ["", "samples", *(f"p{q * 100:g}" for q in QUANTILES)],
        [_row("true", truth), _row("payresil", measured), _row("Locust, closed model", closed)],
    ))  # fmt: skip
    print(f"p99 is off by {error:.2%} (allowed {ALLOWED:.0%}). "
          f"Generator: lateness p99 {measured['lateness_p99']:g} ms, "
          f"{measured['cpu_ms_per_attempt']:g} ms CPU per attempt, of which recording "
          f"{sum(recording.values()) / 1e3:.3f} ms.")  # fmt: skip
    record.write("stall", __doc__ or "", {
        "rate": RATE, "stall_s": STALL_S, "duration_s": WHOLE_S, "locust_users": USERS,
        "cores": os.cpu_count(), "load_average": os.getloadavg(), "true": truth,
        "payresil": measured, "locust_closed": closed, "recording": recording,
        "p99_error": round(error, 5), "allowed": ALLOWED,
    })  # fmt: skip
    return 0 if error <= ALLOWED else 1


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve"]:
            serve()
        case ["closed", url]:
            closed_model(url)
        case _:
            sys.exit(main())
