"""How long an answer takes: `headrace serve` and `mlflow models serve`, of the same XGBoost model, in turn.

    python benchmarks/serving.py            # one core for the server, the other for the client; needs two

A client that does not wait for answers sends 200 requests a second, a row each, over a few connections that stay open.
A request that is late, because the one before it was, counts from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

TREES, FEATURES, ROWS = 100, 20, 20_000
CONNECTIONS = 8


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextmanager
def started(line: list[str], port: int, health: str, core: int, **env: str) -> Iterator[int]:
    """A server on one core, once it answers; the group of its processes."""
    pinned = ["taskset", "-c", str(core), *line]
    log = Path(tempfile.gettempdir()) / f"serving-{port}.log"
    with log.open("w") as out:
        server = subprocess.Popen(pinned, env={**os.environ, **env}, stdout=out, stderr=out, start_new_session=True)
    try:
        for _ in range(1200):
            if server.poll() is not None:
                raise SystemExit(log.read_text()[-3000:])
            try:
                with socket.create_connection(("127.0.0.1", port), 1) as s:
                    s.sendall(f"GET {health} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                    if b" 200 " in s.recv(100):
                        break
            except OSError:
                pass
            time.sleep(0.1)
        yield server.pid
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def cpu(group: int) -> float:
    """Seconds that the processes of a group have worked: that is the same on a busy machine."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def load(
    port: int, path: str, bodies: list[bytes], rate: float, seconds: float
) -> tuple[np.ndarray, list[bytes]]:
    """Seconds from when each request was due to its answer, and the answers."""
    due: asyncio.Queue[tuple[float, bytes] | None] = asyncio.Queue()
    took: list[float] = []
    answers: list[bytes] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (one := await due.get()) is not None:
            at, body = one
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)
            header = await reader.readuntil(b"\r\n\r\n")
            length = next(
                int(line[15:]) for line in header.lower().split(b"\r\n") if line.startswith(b"content-length:")
            )
            answers.append(await reader.readexactly(length))
            took.append(time.perf_counter() - at)
            assert b" 200 " in header, (header, answers[-1])
        writer.close()

    tasks = [asyncio.create_task(connection()) for _ in range(CONNECTIONS)]
    start = time.perf_counter() + 0.2
    for number in range(round(rate * seconds)):
        at = start + number / rate
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        due.put_nowait((at, bodies[number % len(bodies)]))
    for _ in tasks:
        due.put_nowait(None)
    await asyncio.gather(*tasks)
    return np.array(took), answers


def told(name: str, took: np.ndarray, worked: float) -> str:
    p50, p90, p99, worst = np.percentile(took * 1000, [50, 90, 99, 100])
    times = f"p50 {p50:6.2f}   p90 {p90:6.2f}   p99 {p99:6.2f}   max {worst:6.2f} ms"
    return f"{name:<22} {len(took):>6} requests   {times}; CPU {1000 * worked / len(took):.2f} ms each"


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--rate", type=float, default=200)
    given.add_argument("--seconds", type=float, default=10)
    given.add_argument("--rounds", type=int, default=2)
    options = given.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the client")
    folder = Path(tempfile.mkdtemp())
    try:
        os.environ["HEADRACE_HOME"] = str(folder)
        from benchmarks.serving_model import registered

        model, rows = registered(folder, TREES, FEATURES, ROWS)
        binaries = Path(sys.executable).parent
        os.sched_setaffinity(0, {cores[-1]})
        ours = [json.dumps({"rows": [row]}).encode() for row in rows]
        theirs = [
            json.dumps({"dataframe_split": {"columns": list(row), "data": [list(row.values())]}}).encode()
            for row in rows
        ]
        for _ in range(options.rounds):
            port = free_port()
            line = [str(binaries / "headrace"), "serve", "--model", "bench", "--port", str(port)]
            with started(line, port, "/health", cores[0]) as group:
                asyncio.run(load(port, "/v1/models/bench/predict", ours, 50, 2))
                before = cpu(group)
                took, answers = asyncio.run(load(port, "/v1/models/bench/predict", ours, options.rate, options.seconds))
                worked = cpu(group) - before
                mine = json.loads(answers[0])["predictions"][0]["probability"]
            print(told("headrace serve", took, worked), flush=True)
            port = free_port()
            line = [
                str(binaries / "mlflow"),
                "models",
                "serve",
                "-m",
                str(model),
                "-p",
                str(port),
                "--env-manager",
                "local",
            ]
            path = f"{binaries}:{os.environ['PATH']}"
            with started(line, port, "/health", cores[0], OMP_NUM_THREADS="1", PATH=path) as group:
                asyncio.run(load(port, "/invocations", theirs, 50, 2))
                before = cpu(group)
                took, answers = asyncio.run(load(port, "/invocations", theirs, options.rate, options.seconds))
                worked = cpu(group) - before
                other = json.loads(answers[0])["predictions"][0]
            print(told("mlflow models serve", took, worked), f"  (first answers: {mine} and {other})", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
