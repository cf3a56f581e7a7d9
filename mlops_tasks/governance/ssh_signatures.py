"""People's signatures: made and checked by `ssh-keygen`, in the format that git signs commits with.

The keys stay where people have them (a file, an agent, a hardware token); nothing of them is read
here. Who may sign with which key is said by an `allowed_signers` file, see ssh-keygen(1).
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlops_tasks.errors import ApprovalRefused, PlatformError

NAMESPACE = "mlops-approval"
SECONDS = 120
USUAL_KEYS = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")
_GOOD = re.compile(r'^Good "[^"]+" signature for (\S+) with \S+ key (SHA256:\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose key made a signature, as the allowed signers say."""

    principal: str
    fingerprint: str


def sign(statement: bytes, key: Path) -> str:
    """The armoured signature of a statement.

    Raises
    ------
    ApprovalRefused
        If the key cannot be used.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "statement"
        file.write_bytes(statement)
        # Standard input stays the terminal's: ssh-keygen may ask for the passphrase.
        done = _ssh_keygen(["sign", "-f", str(key), "-n", NAMESPACE, str(file)])
        if done.returncode:
            raise ApprovalRefused(
                f"the key cannot sign: {_last_line(done)}",
                where=str(key),
                next_step="name another with --key; `ssh-keygen -t ed25519` makes one",
            )
        return file.with_name("statement.sig").read_text(encoding="utf-8")


def signer_of(statement: bytes, signature: str, principal: str, signers: Path) -> Signer | None:
    """Who signed this statement, or None if it was not that principal with an allowed key."""
    if not principal or set(principal) & set("*?! \n") or principal.startswith("-"):
        return None  # a pattern is nobody's name
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_text(signature, encoding="utf-8")
        words = ["verify", "-f", str(signers), "-I", principal, "-n", NAMESPACE, "-s", str(file)]
        done = _ssh_keygen(words, statement)
    found = _GOOD.search(done.stdout)
    if done.returncode or found is None or found[1] != principal:
        return None
    return Signer(principal, found[2])


def principals_of(signature: str, signers: Path) -> tuple[str, ...]:
    """The names under which the allowed signers list the key of a signature."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "signature"
        file.write_text(signature, encoding="utf-8")
        done = _ssh_keygen(["find-principals", "-f", str(signers), "-s", str(file)])
    if done.returncode:
        return ()
    return tuple(name for line in done.stdout.split("\n") for name in line.split(",") if name)


def own_key() -> Path:
    """The key that git signs with, or the usual one in `~/.ssh`.

    Raises
    ------
    ApprovalRefused
        If there is none.
    """
    configured = _git_signing_key()
    usual = [Path.home() / ".ssh" / name for name in USUAL_KEYS]
    for path in ([configured] if configured else []) + usual:
        if path.is_file():
            return path
    raise ApprovalRefused(
        "there is no SSH key to sign with",
        where=str(Path.home() / ".ssh"),
        next_step="make one with `ssh-keygen -t ed25519`, or name one with --key",
    )


def _git_signing_key() -> Path | None:
    try:
        words = ["git", "config", "--get-regexp", r"^(gpg\.format|user\.signingkey)$"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)
    key = said.get("user.signingkey", "")
    if said.get("gpg.format") != "ssh" or not key or key.startswith(("key::", "ssh-")):
        return None
    return Path(key.removesuffix(".pub")).expanduser()


def _ssh_keygen(
    words: Sequence[str], statement: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        # Bytes in and out: neither a statement nor a name in a file of signers need be text.
        done = subprocess.run(
            ["ssh-keygen", "-Y", *words], input=statement, capture_output=True, timeout=SECONDS
        )
    except FileNotFoundError as error:
        raise PlatformError(
            "ssh-keygen is not installed",
            where="PATH",
            next_step="install OpenSSH 8.2 or newer (Debian: `apt-get install openssh-client`)",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ApprovalRefused("ssh-keygen does not answer", where=" ".join(words)) from error
    said = (done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
    return subprocess.CompletedProcess(done.args, done.returncode, *said)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
