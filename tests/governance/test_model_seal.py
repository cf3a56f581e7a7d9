"""The seal: whatever is done to a sealed folder or its signature, the model is not used."""

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from mlops_tasks.errors import AlteredObject, StorageError
from mlops_tasks.governance.keys import KeyPair, key_pair
from mlops_tasks.governance.model_seal import check_seal, seal

FILES = {
    "MLmodel": b"flavors: sklearn\n",
    "model/model.skops": bytes(range(256)),
    "model/empty": b"",
    "model/deep/n\u00e4me with space": b"{}",
}


@dataclass(frozen=True)
class Sealed:
    """A folder, its signature and the key."""

    folder: Path
    signature: Path
    key: KeyPair

    def check(self) -> None:
        check_seal(self.folder, self.signature, self.key.public)

    def refused(self, match: str = "") -> None:
        with pytest.raises(AlteredObject) as caught:
            self.check()
        assert re.search(match, caught.value.what)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Sealed:
    root = tmp_path_factory.mktemp("sealed")
    for name, content in FILES.items():
        path = root / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    made = Sealed(root / "package", root / "package.sig", key_pair(root / "keys", "m", "p256"))
    seal(made.folder, made.signature, made.key)
    made.check()
    return made


@pytest.fixture
def sealed(original: Sealed, tmp_path: Path) -> Sealed:
    """A copy that a test may spoil."""
    folder, signature = tmp_path / "package", tmp_path / "package.sig"
    shutil.copytree(original.folder, folder)
    shutil.copy(original.signature, signature)
    return Sealed(folder, signature, original.key)


@st.composite
def edits(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Change, insert or delete one byte somewhere."""
    place, byte = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 255))
    how = draw(st.sampled_from(["change", "insert", "delete"]))

    def edit(content: bytes) -> bytes:
        at = int(place * len(content))
        if how == "insert" or not content:
            return content[:at] + bytes([byte]) + content[at:]
        middle = bytes([content[at] ^ byte]) if how == "change" else b""
        return content[:at] + middle + content[at + 1 :]

    return edit


def library_verifies(sealed: Sealed) -> None:
    from model_signing import hashing, verifying

    every_file = hashing.Config().set_ignored_paths(paths=(), ignore_git_paths=False)
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=sealed.key.public)
    verifier.set_hashing_config(every_file).verify(sealed.folder, sealed.signature)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "model_signing", *map(str, words)]
    return subprocess.run(line, capture_output=True, text=True)


def test_the_standards_own_command_accepts_our_seal(sealed: Sealed) -> None:
    words = ("--signature", sealed.signature, "--public_key", sealed.key.public)
    done = command("verify", "key", sealed.folder, *words)
    assert done.returncode == 0, done.stderr


def test_we_accept_the_seal_of_the_standards_own_command(sealed: Sealed) -> None:
    sealed.signature.unlink()
    words = ("--signature", sealed.signature, "--private_key", sealed.key.private)
    done = command("sign", "key", sealed.folder, *words)
    assert done.returncode == 0, done.stderr
    sealed.check()
    (sealed.folder / ".gitignore").write_text("the command does not sign this")
    sealed.refused("'.gitignore' was added")


@given(name=st.sampled_from(sorted(FILES)), edit=edits())
def test_no_byte_of_a_file_can_be_changed(original: Sealed, name: str, edit) -> None:
    path = original.folder / name
    path.write_bytes(edit(FILES[name]))
    try:
        original.refused(f"'{name}' was altered$")
    finally:
        path.write_bytes(FILES[name])
    original.check()


@given(edit=edits())
def test_no_byte_of_a_signature_can_be_changed_but_white_space(original: Sealed, edit) -> None:
    written = original.signature.read_bytes()
    edited = edit(written)
    try:
        original.signature.write_bytes(edited)
        original.check()
        library_verifies(original)
    except AlteredObject:
        return
    finally:
        original.signature.write_bytes(written)
    assert json.loads(edited) == json.loads(written)


def test_every_character_of_a_signature_counts(original: Sealed) -> None:
    """Also the last ones of base64, some of whose bits decode to nothing."""
    written = original.signature.read_bytes()
    bundle = json.loads(written)["dsseEnvelope"]
    sig, payload = (
        written.index(each.encode()) + len(each)
        for each in (bundle["signatures"][0]["sig"], bundle["payload"])
    )
    places = {*range(sig - 8, sig + 2), *range(payload - 8, payload + 2)}
    try:
        for place in sorted(places | set(range(0, len(written), 5))):
            for bit in (1, 16):
                edited = bytearray(written)
                edited[place] ^= bit
                original.signature.write_bytes(edited)
                original.refused()
    finally:
        original.signature.write_bytes(written)


def test_a_signature_that_is_cut_off_anywhere_is_refused(sealed: Sealed) -> None:
    written = sealed.signature.read_bytes()
    for size in range(0, len(written), 23):
        sealed.signature.write_bytes(written[:size])
        sealed.refused("the signature cannot be read")


def _add(name: str) -> Callable[[Path], object]:
    def do(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")

    return do


def _swap(folder: Path) -> None:
    one, other = folder / "MLmodel", folder / "model/model.skops"
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def _link(folder: Path) -> None:
    (folder / "MLmodel").rename(folder.parent / "MLmodel")
    (folder / "MLmodel").symlink_to(folder.parent / "MLmodel")


def _link_folder(folder: Path) -> None:
    (folder / "model").rename(folder.parent / "model")
    (folder / "model").symlink_to(folder.parent / "model")


def _link_all(folder: Path) -> None:
    folder.rename(folder.parent / "moved")
    folder.symlink_to(folder.parent / "moved")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_add("model/more"), "'model/more' was added$"),
        (_add(".gitignore"), "'.gitignore' was added"),
        (_add(".git/config"), "'.git/config' was added"),
        (_add("line\nbreak\x1b"), r"'line\\nbreak\\x1b' was added"),
        (lambda folder: (folder / "MLmodel").unlink(), "'MLmodel' was removed$"),
        (lambda folder: (folder / "model/empty").unlink(), "'model/empty' was removed$"),
        (
            lambda folder: (folder / "MLmodel").rename(folder / "mlmodel"),
            "'MLmodel' was removed, and 1 more",
        ),
        (_swap, "'MLmodel' was altered, and 1 more"),
        (lambda folder: shutil.rmtree(folder / "model"), "'model/.*' was removed, and 2 more"),
        (shutil.rmtree, "Not a folder"),
        (_link, "Not a regular file: 'MLmodel'"),
        (_link_folder, "Not a regular file: 'model'"),
        (_link_all, "Not a folder"),
        (lambda folder: (folder / "loose").symlink_to("nowhere"), "Not a regular file: 'loose'"),
        (lambda folder: (folder / "loop").symlink_to("."), "Not a regular file: 'loop'"),
        (lambda folder: os.mkfifo(folder / "pipe"), "Not a regular file: 'pipe'"),
    ],
)
def test_no_file_can_be_added_removed_moved_or_linked(sealed: Sealed, spoil, said: str) -> None:
    spoil(sealed.folder)
    sealed.refused(said)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff", b"{}", b"[]", b"null", b"[" * 100_000, b'{"a":' * 100_000, b"-----BEGIN"],
)
def test_a_signature_of_garbage_is_refused(sealed: Sealed, content: bytes) -> None:
    sealed.signature.write_bytes(content)
    sealed.refused("the signature cannot be read")


def test_a_signature_that_is_missing_is_refused(sealed: Sealed) -> None:
    sealed.signature.unlink()
    sealed.refused("the signature is missing")
    sealed.signature.mkdir()
    sealed.refused("the signature cannot be read")


def test_a_seal_by_another_key_is_refused_also_if_it_pretends(
    sealed: Sealed, tmp_path: Path
) -> None:
    ours = json.loads(sealed.signature.read_bytes())
    seal(sealed.folder, sealed.signature, key_pair(tmp_path / "other", "m", "p256"))
    sealed.refused("by another key")
    theirs = json.loads(sealed.signature.read_bytes())
    theirs["verificationMaterial"] = ours["verificationMaterial"]
    sealed.signature.write_text(json.dumps(theirs))
    sealed.refused("is forged")


def _statement(sealed: Sealed) -> tuple[dict, dict]:
    bundle = json.loads(sealed.signature.read_bytes())
    return bundle, json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))


def _sign_anew(sealed: Sealed, bundle: dict, payload: bytes) -> None:
    """What the holder of the key could sign, in an envelope that is otherwise right."""
    envelope = bundle["dsseEnvelope"]
    kind = envelope["payloadType"]
    key = serialization.load_pem_private_key(sealed.key.private.read_bytes(), None)
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    envelope["payload"] = base64.b64encode(payload).decode()
    envelope["signatures"][0]["sig"] = base64.b64encode(
        key.sign(signed, ec.ECDSA(hashes.SHA256()))
    ).decode()
    sealed.signature.write_text(json.dumps(bundle))


def _name_a_file_twice(statement: dict) -> None:
    files = statement["predicate"]["resources"]
    files.append(files[0])
    root = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in files))
    statement["subject"][0]["digest"]["sha256"] = root.hexdigest()


@pytest.mark.parametrize(
    "spoil",
    [
        _name_a_file_twice,
        lambda said: said.update(_type="https://in-toto.io/Statement/v0.1"),
        lambda said: said.update(predicateType="https://model_signing/Digests/v0.1"),
        lambda said: said.update(subject=[]),
        lambda said: said["subject"][0]["digest"].update(sha256="0" * 64),
        lambda said: said["predicate"]["serialization"].update(method="shards"),
        lambda said: said["predicate"]["serialization"].update(allow_symlinks=True),
        lambda said: said["predicate"]["resources"][0].update(algorithm="blake3"),
        lambda said: said["predicate"]["resources"][0].update(digest="xyz"),
        lambda said: said["predicate"]["resources"].pop(),
        lambda said: said.pop("predicate"),
    ],
)
def test_a_genuine_signature_of_something_else_is_refused(sealed: Sealed, spoil) -> None:
    bundle, statement = _statement(sealed)
    _sign_anew(sealed, bundle, json.dumps(statement).encode())
    sealed.check()
    spoil(statement)
    _sign_anew(sealed, bundle, json.dumps(statement).encode())
    sealed.refused("the signature is not of a list|contradicts itself")


def test_a_genuine_signature_of_another_kind_of_payload_is_refused(sealed: Sealed) -> None:
    bundle, statement = _statement(sealed)
    bundle["dsseEnvelope"]["payloadType"] = "text/plain"
    _sign_anew(sealed, bundle, json.dumps(statement).encode())
    sealed.refused("the signature cannot be read")


def test_base64_has_one_spelling(sealed: Sealed) -> None:
    bundle, statement = _statement(sealed)
    payload = json.dumps(statement).encode()
    _sign_anew(sealed, bundle, payload + b" " * ((1 - len(payload)) % 3))
    sealed.check()
    envelope = bundle["dsseEnvelope"]
    text = envelope["payload"]
    assert text.endswith("==")
    envelope["payload"] = text[:-3] + chr(ord(text[-3]) + 1) + "=="
    assert base64.b64decode(envelope["payload"]) == base64.b64decode(text)
    sealed.signature.write_text(json.dumps(bundle))
    sealed.refused("the signature cannot be read")


def test_a_list_that_claims_to_ignore_a_file_is_not_believed(sealed: Sealed) -> None:
    bundle, statement = _statement(sealed)
    statement["predicate"]["serialization"]["ignore_paths"] = ["hidden"]
    _sign_anew(sealed, bundle, json.dumps(statement).encode())
    sealed.check()
    (sealed.folder / "hidden").write_bytes(b"")
    sealed.refused("'hidden' was added")


def test_files_that_git_would_hide_are_sealed_too(sealed: Sealed) -> None:
    (sealed.folder / ".gitattributes").write_bytes(b"one")
    seal(sealed.folder, sealed.signature, sealed.key)
    sealed.check()
    (sealed.folder / ".gitattributes").write_bytes(b"two")
    sealed.refused("'.gitattributes' was altered")


def test_the_signature_names_nothing_of_this_machine(sealed: Sealed) -> None:
    _, statement = _statement(sealed)
    assert statement["subject"][0]["name"] == "package"
    assert [each["name"] for each in statement["predicate"]["resources"]] == sorted(FILES)
    assert str(sealed.folder.parent) not in json.dumps(statement)


def test_sealing_and_checking_need_no_network(
    sealed: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    seal(sealed.folder, sealed.signature, sealed.key)
    sealed.check()


def test_checking_loads_only_the_cryptography(sealed: Sealed) -> None:
    code = (
        "import sys; from pathlib import Path;"
        "from mlops_tasks.governance.model_seal import check_seal;"
        "check_seal(*map(Path, sys.argv[1:]));"
        "print([m for m in ('model_signing', 'sigstore', 'requests') if m in sys.modules])"
    )
    words = [str(each) for each in (sealed.folder, sealed.signature, sealed.key.public)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("what", ["missing", "garbage", "ed25519", "private", "p384"])
def test_a_public_key_that_cannot_be_used_is_said_to_be_at_fault(
    sealed: Sealed, tmp_path: Path, what: str
) -> None:
    public = tmp_path / "key.pub.pem"
    if what == "garbage":
        public.write_bytes(b"\x00")
    elif what == "ed25519":
        public = key_pair(tmp_path, "e", "ed25519").public
    elif what == "private":
        public = sealed.key.private
    elif what == "p384":
        key = ec.generate_private_key(ec.SECP384R1()).public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        public.write_bytes(key.public_bytes(serialization.Encoding.PEM, form))
    with pytest.raises(StorageError, match="the public key cannot be read") as caught:
        check_seal(sealed.folder, sealed.signature, public)
    assert not isinstance(caught.value, AlteredObject)
    assert caught.value.where == str(public)


@pytest.mark.parametrize(
    "what", ["no folder", "empty", "link", "no key", "wrong key", "nowhere to write", "odd name"]
)
def test_what_cannot_be_sealed_is_an_error_of_ours(
    sealed: Sealed, tmp_path: Path, what: str
) -> None:
    folder, signature, key = sealed.folder, sealed.signature, sealed.key
    signature.unlink()
    if what == "no folder":
        folder = tmp_path / "none"
    elif what == "empty":
        folder = tmp_path / "empty"
        (folder / "inner").mkdir(parents=True)
    elif what == "link":
        (folder / "link").symlink_to("MLmodel")
    elif what == "no key":
        key = KeyPair(tmp_path / "none.pem", key.public)
    elif what == "wrong key":
        key = key_pair(tmp_path, "e", "ed25519")
    elif what == "nowhere to write":
        signature = tmp_path / "none" / "package.sig"
    else:
        Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be sealed"):
        seal(folder, signature, key)
    assert not signature.exists()
