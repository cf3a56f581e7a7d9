"""Requests a second of `mlops serve`, `mlflow models serve` and BentoML, one model for all three.

Histogram boosting of scikit-learn on 30 columns, registered and promoted once.
Ours runs with validation, API keys, metrics and the prediction log on; MLflow serves the very model
folder of the registered package; BentoML, in an environment of its own, serves the package's ONNX
model, as its documentation advises, with a typed array as input. Servers run one after another, in
rounds that alternate; `wrk` (Debian package of that name) asks, on the same machine.

Reproduce: uv run python benchmarks/serving.py      (`--rounds 5`, `--seconds 8`, `--without bento`)
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from processes import CouldNotRun, clean, run, script

BENTO = "bentoml>=1.4.30,<1.5"
RUNTIME = "onnxruntime"
ROWS, CONNECTIONS, COLUMNS = (1, 100), (1, 8), 30
AIMS = {"mlflow models serve": {1: 20, 100: 8}, "BentoML": {1: 3, 100: 2}}
START_SECONDS, STOP_SECONDS = 120, 30
KEY_NAME = "wrk"
SERVICE = """
import typing
import bentoml, numpy, onnxruntime
from bentoml.validators import DType, Shape

Rows = typing.Annotated[numpy.ndarray, Shape((-1, {columns})), DType("float32")]

@bentoml.service(workers=1, metrics={{"enabled": True}})
class Model:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession({path!r}, options)

    @bentoml.api
    def predict(self, rows: Rows) -> typing.List[float]:
        return self.session.run(["probabilities"], {{"rows": rows}})[0][:, 1].tolist()
"""


def boosting(columns: Any, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline

    return make_pipeline(HistGradientBoostingClassifier(random_state=seed))


MODELS = {"boosting": boosting}


@dataclass(frozen=True)
class Figures:
    """One measurement by wrk."""

    rate: float
    p50: float
    p99: float


@dataclass
class Server:
    """One way to serve the model."""

    name: str
    command: list[str | Path]
    environment: dict[str, str]
    path: str
    port: int
    headers: dict[str, str] = field(default_factory=dict)
    figures: dict[tuple[int, int], list[Figures]] = field(default_factory=dict)
    cold: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def body(self, rows: list[dict[str, float]]) -> str:
        """A request for these rows, in the server's own form."""
        if self.name == "BentoML":
            return json.dumps({"rows": [list(row.values()) for row in rows]})
        if self.name == "mlops serve":
            return json.dumps(rows if len(rows) > 1 else rows[0])
        data = [list(row.values()) for row in rows]
        return json.dumps({"dataframe_split": {"columns": list(rows[0]), "data": data}})

    def ask(self, body: str) -> bytes:
        """Send one request."""
        url = f"http://127.0.0.1:{self.port}{self.path}"
        request = urllib.request.Request(url, body.encode(), self.sent, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: bytes = answer.read()
        return found

    @property
    def sent(self) -> dict[str, str]:
        """Headers of a request."""
        return {"content-type": "application/json", **self.headers}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=8, help="of each measurement")
    parser.add_argument("--without", action="append", default=[], choices=["mlflow", "bento"])
    parser.add_argument("--wrk", default=shutil.which("wrk"), help="the program")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.port)
        return
    if not options.wrk:
        sys.exit("wrk is not installed: `apt-get install wrk`")
    with tempfile.TemporaryDirectory(prefix="serving-") as name:
        folder = Path(name)
        package = register(folder)
        rows = sample()
        servers = contenders(folder, package, options.without)
        for number in range(options.rounds):
            order = servers if number % 2 == 0 else servers[::-1]
            for server in order:
                print(f"round {number + 1}: {server.name}", file=sys.stderr)
                measure(server, rows, options.wrk, options.seconds, folder)
        report(servers, options)


def contenders(folder: Path, package: Path, without: list[str]) -> list[Server]:
    key = (folder / "key").read_text()
    ours = [sys.executable, Path(__file__), "--serve", folder, "--port"]
    servers = [
        Server("mlops serve", ours, clean(), "/predict", 0, {"authorization": f"Bearer {key}"})
    ]
    if "mlflow" not in without:
        words = ["models", "serve", "-m", package / "model", "--env-manager", "local", "-p"]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = clean(PATH=path, MLFLOW_DISABLE_TELEMETRY="true")
        servers.append(
            Server(
                "mlflow models serve",
                [script("mlflow"), *words],
                environment,
                "/invocations",
                0,
            )
        )
    if "bento" not in without:
        python = bento_python(folder / "bento")
        service = SERVICE.format(columns=COLUMNS, path=str(package / "model.onnx"))
        (folder / "service.py").write_text(service)
        words = ["serve", "service:Model", "--working-dir", folder, "-p"]
        command = [python.parent / "bentoml", *words]
        environment = clean(
            PATH=f"{python.parent}{os.pathsep}{os.environ['PATH']}",
            BENTOML_DO_NOT_TRACK="True",
            BENTOML_HOME=str(folder / "bento-home"),
        )
        servers.append(Server("BentoML", command, environment, "/predict", 0))
    return servers


def bento_python(folder: Path) -> Path:
    """The Python of an environment with BentoML and ONNX Runtime."""
    from importlib.metadata import version

    python = folder / "bin" / "python"
    uv = shutil.which("uv") or str(script("uv"))
    run([uv, "venv", "--quiet", "--python", sys.executable, folder])
    wanted = [BENTO, f"{RUNTIME}=={version(RUNTIME)}", "numpy"]
    run([uv, "pip", "install", "--quiet", "--python", python, *wanted])
    return python


def sample() -> list[dict[str, float]]:
    """A hundred rows as clients send them."""
    frame = measured().drop("id", "sick").head(max(ROWS))
    return [dict(row) for row in frame.to_dicts()]


def measured() -> Any:
    """Rows whose target a tree sees and a straight line does not: the gate lets the model in."""
    import numpy as np
    import polars as pl

    values = np.random.default_rng(1).normal(size=(3000, COLUMNS))
    sick = (values[:, 0] * values[:, 1] + values[:, 2] ** 2 > 0.8).astype(int)
    frame = pl.DataFrame(values, schema=[f"measure_{place}" for place in range(COLUMNS)])
    return frame.with_columns(pl.int_range(pl.len()).alias("id"), pl.Series("sick", sick))


def settings_in(folder: Path) -> Any:
    from mlops_tasks.settings import Settings

    here = "here"
    parts = ("compute", "storage", "tracking", "registry")
    return Settings.model_validate(
        {
            "project": "bench",
            "seed": 1,
            "data": {
                "path": "x",
                "target": "sick",
                "split": {"kind": "random"},
                "classification": "open",
                "regions": [here],
            },
            "model": {"name": "boosting"},
            "stack": {
                "store": str(folder / "store"),
                "predictions": str(folder / "predictions"),
                "tracking_uri": f"sqlite:///{folder}/mlflow.db",
                "artifact_root": str(folder / "artifacts"),
                "ledger": f"sqlite:///{folder}/ledger.db",
                "anchor": str(folder / "anchor"),
                "key_folder": str(folder / "keys"),
                "regions": dict.fromkeys(parts, here),
            },
            "policy": {
                "minimum_rows": 50,
                "minimum_positives": 5,
                "margin": 1.0,
                "approval": {"automatic": ["dev"]},
                "residency": {"open": {"regions": [here], "uri_prefixes": [str(folder)]}},
            },
            "evaluation": {"bootstrap_samples": 100, "importance_repeats": 2},
        }
    )


def register(folder: Path) -> Path:
    """Train, register and promote the model; gives the folder of its package."""
    from mlops_tasks.artifacts import Code, Columns, Lineage, Split
    from mlops_tasks.data.frames import write_frame
    from mlops_tasks.evaluation.comparison import compare
    from mlops_tasks.evaluation.evaluate import evaluate
    from mlops_tasks.evaluation.gate import judge
    from mlops_tasks.governance.record import ACTOR
    from mlops_tasks.references import code
    from mlops_tasks.registry.client import connect
    from mlops_tasks.registry.proposals import propose
    from mlops_tasks.registry.register import register
    from mlops_tasks.serving.online.keys import create_key, key_file
    from mlops_tasks.settings import ModelSettings
    from mlops_tasks.training.baselines import REFERENCE
    from mlops_tasks.training.fit import fit

    os.environ[ACTOR] = "bench@x.org"
    settings, frame = settings_in(folder), measured()
    stack = settings.stack
    names = tuple(name for name in frame.columns if name not in ("id", "sick"))
    played = Columns(("id",), "sick", names, ())
    parts = [
        write_frame(part, stack.store, regions=("here",)) for part in (frame[:2000], frame[2000:])
    ]
    table = Code("serving:MODELS", "bench")
    model = ModelSettings(name="boosting")
    split = Split(*parts, played, "random")
    candidate = fit(split, table, model, 1, store=stack.store)
    evaluation = evaluate(candidate, parts[1], settings.evaluation, store=stack.store)
    rivals = {
        name: fit(split, code(REFERENCE), ModelSettings(name=name), 1, store=stack.store)
        for name in ("trivial", "linear")
    }
    compared = compare(evaluation, rivals, parts[1], settings.evaluation, 1)
    decision = judge(candidate, evaluation, compared, settings.policy, champion_digest=None)
    lineage = Lineage("", True, "", parts[0].digest, "c", "e", table.digest, "0", 1, "here")
    found = register(settings, candidate, evaluation, compared, decision, lineage)
    standing = propose(str(folder), settings, found)
    if standing.standing != "champion":
        raise CouldNotRun(f"the model was not let in: {standing}")
    key = create_key(key_file(stack), KEY_NAME, ["predict"])
    (folder / "key").write_text(key)
    run_info = connect(stack).get_run(found.run_id).info
    package = Path(run_info.artifact_uri.removeprefix("file://")) / "package"
    if not (package / "model.onnx").exists():
        raise CouldNotRun("the model has no ONNX form")
    return package


def serve(folder: Path, port: int) -> None:
    from mlops_tasks.serving.online.server import serve

    serve(settings_in(folder), port=port)


def measure(
    server: Server, rows: list[dict[str, float]], wrk: str, seconds: int, folder: Path
) -> None:
    """Start a server, ask it in all ways, and stop it."""
    server.port = free_port()
    started = time.perf_counter()
    with (folder / "server.log").open("w") as log, running(server, log) as process:
        body = server.body(rows[:1])
        wait_for(server, body, process, folder)
        server.cold.append(time.perf_counter() - started)
        for count in ROWS:
            body = server.body(rows[:count])
            server.ask(body)
            for connections in CONNECTIONS:
                ask = folder / "ask.lua"
                ask.write_text(lua(server, body))
                found = by_wrk(wrk, server, ask, connections, seconds)
                server.figures.setdefault((count, connections), []).append(found)
        server.memory.append(proportional_mib(process.pid))


@contextlib.contextmanager
def running(server: Server, log: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [str(word) for word in [*server.command, server.port]],
        env=server.environment,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(server: Server, body: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            server.ask(body)
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > end:
                said = " ".join((folder / "server.log").read_text().split())[-3000:]
                raise CouldNotRun(f"{server.name}: {error}: {said}") from error
            time.sleep(0.02)


def lua(server: Server, body: str) -> str:
    headers = "".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}\n"
        for name, value in server.sent.items()
    )
    return f'wrk.method = "POST"\nwrk.body = {json.dumps(body)}\n{headers}'


def by_wrk(wrk: str, server: Server, ask: Path, connections: int, seconds: int) -> Figures:
    url = f"http://127.0.0.1:{server.port}{server.path}"
    words = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency"]
    said = run([wrk, *words, "-s", ask, url], dict(os.environ)).output
    if "Non-2xx" in said or "Socket errors" in said:
        raise CouldNotRun(f"{server.name}: not all requests were answered: {said}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    spans = {
        name: milliseconds(value) for name, value in re.findall(r"(50|99)%\s+([\d.]+\w+)", said)
    }
    if rate is None:
        raise CouldNotRun(f"wrk says nothing that is understood: {said}")
    return Figures(float(rate[1]), spans["50"], spans["99"])


def milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0), ("m", 60_000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise CouldNotRun(f"wrk says {text!r}")


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def proportional_mib(leader: int) -> float:
    """Memory of a process and its descendants; pages that they share count once."""
    parents, sizes = {}, {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, StopIteration):
            number = int(entry.name)
            parents[number] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            lines = (entry / "smaps_rollup").read_text().splitlines()
            sizes[number] = int(next(x for x in lines if x.startswith("Pss:")).split()[1])
    family = {leader}
    for _ in range(len(parents)):
        children = {each for each, parent in parents.items() if parent in family}
        if children <= family:
            break
        family |= children
    return sum(sizes.get(each, 0) for each in family) / 1024


def report(servers: list[Server], options: argparse.Namespace) -> None:
    fast = [name for name in ("httptools", "uvloop") if importlib.util.find_spec(name)]
    print(f"\nMedian of {options.rounds} rounds of {options.seconds} s; uvicorn with", end=" ")
    print(", ".join(fast) or "neither httptools nor uvloop", end=".\n\n")
    kinds = [(rows, connections) for rows in ROWS for connections in CONNECTIONS]
    print("| server | cold s | MiB |", end="")
    print("".join(f" {rows} rows, c={each}: req/s, p50/p99 ms |" for rows, each in kinds))
    print("| --- " * (3 + len(kinds)) + "|")
    for server in servers:
        cells = [server.name, f"{median(server.cold):.1f}", f"{median(server.memory):.0f}"]
        for kind in kinds:
            found = server.figures[kind]
            rate, p50, p99 = (
                median(getattr(each, name) for each in found) for name in ("rate", "p50", "p99")
            )
            cells.append(f"{rate:.0f}, {p50:.2f}/{p99:.2f}")
        print(f"| {' | '.join(cells)} |")
    ours, *others = servers
    if not others:
        return
    print("\n| ours against | rows | connections | ratio of requests/s | aim | met |")
    print("| --- " * 6 + "|")
    for other in others:
        for rows, connections in kinds:
            pairs = zip(
                ours.figures[rows, connections], other.figures[rows, connections], strict=True
            )
            ratio = median(mine.rate / theirs.rate for mine, theirs in pairs)
            aim = AIMS[other.name][rows]
            met = "yes" if ratio >= aim else "NO"
            print(f"| {other.name} | {rows} | {connections} | {ratio:.1f} | >= {aim} | {met} |")


if __name__ == "__main__":
    main()
