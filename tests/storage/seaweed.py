"""A real S3-compatible server for the tests: SeaweedFS, on loopback, with one user."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WEED = Path(sys.executable).parent / "weed"
HIGHER = 10_000  # it opens a second port, that much above each
BUCKET = "team"


@dataclass(frozen=True)
class ObjectStore:
    """Where the server is, and the one user that it lets in."""

    url: str
    empty: str  # a file; the null device is none to DVC
    key: str = "seaweed-user"
    secret: str = "canary-4f1d8c0e7a3b"

    @property
    def environment(self) -> dict[str, str]:
        """The standard variables, and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": self.empty,
            "AWS_SHARED_CREDENTIALS_FILE": self.empty,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, url: str = ""):
        """A plain client of Amazon's, that knows nothing of ours."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=url or self.url,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
        )

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """The names of all objects there."""
        pages = (
            self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        )
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


def free_ports(count: int) -> list[int]:
    """Ports that are free now, and those that the server opens above them as well."""
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            low, high = (held.enter_context(socket.socket()) for _ in range(2))
            low.bind(("127.0.0.1", 0))
            port = low.getsockname()[1] - HIGHER
            with contextlib.suppress(OSError):
                high.bind(("127.0.0.1", port))
                found.append(port)
    return found


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[ObjectStore]:
    """Start the server; stopped and waited for at the end of the block."""
    master, volume, filer, s3 = free_ports(4)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "empty").touch()
    store = ObjectStore(f"http://127.0.0.1:{s3}", str(folder / "empty"))
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    user = {"accessKey": store.key, "secretKey": store.secret}
    config = folder / "users.json"
    config.write_text(
        json.dumps({"identities": [{"name": "team", "credentials": [user], "actions": actions}]})
    )
    words = [
        f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-master.port={master}",
        f"-volume.port={volume}", "-filer", f"-filer.port={filer}", "-s3", f"-s3.port={s3}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={config}",
        "-master.volumeSizeLimitMB=64", "-volume.max=300", "-master.telemetry=false",
    ]  # fmt: skip
    with (folder / "weed.log").open("wb") as log:
        process = subprocess.Popen([str(WEED), "server", *words], stdout=log, stderr=log)
        try:
            _wait(store, process, folder / "weed.log")
            yield store
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(store: ObjectStore, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Ready means: a bucket can be made and written to."""
    until = time.monotonic() + 90
    while True:
        try:
            client = store.client()
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"1")
            client.delete_object(Bucket=BUCKET, Key="ready")
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(
                    f"SeaweedFS does not start: {log.read_text()[-2000:]}"
                ) from error
            time.sleep(0.3)
