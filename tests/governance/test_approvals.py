"""Who may let a model in: real keys against every trick."""

import base64
import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_tasks.encoding import digest
from mlops_tasks.errors import ApprovalRefused
from mlops_tasks.governance.approvals import Request, Standing, statement
from mlops_tasks.governance.events import Event
from mlops_tasks.governance.ledger import Wanted
from mlops_tasks.governance.record import ledger_of
from mlops_tasks.governance.requests import (
    REQUEST,
    VOTE,
    cast,
    open_request,
    policy_digest,
    requests_of,
    standing,
)
from mlops_tasks.governance.ssh_signatures import sign, signer_of
from mlops_tasks.settings import Settings
from tests.registry.life import Life

MODEL = "demo.prod"
ASKED = Request(
    MODEL, "demo", 1, "c" * 64, "e" * 64, "p" * 64, "none", ("dan",), "2026-01-01", "2026-01-02"
)


class Office:
    """A project with people, a ledger and an open request, but no model."""

    def __init__(self, home: Path, **changed: Any) -> None:
        self.life = Life(home)
        self.life.people()
        self.rules = {"quorum": 2}
        self.request = self.opened(**changed)

    @property
    def settings(self) -> Settings:
        return self.life.settings(approval=self.rules)

    def opened(self, **changed: Any) -> Request:
        now = datetime.now(UTC)
        request = dataclasses.replace(
            ASKED,
            policy=policy_digest(self.life.root, self.settings),
            authors=("trainer@x.org",),
            opened=now.isoformat(timespec="seconds"),
            expires=(now + timedelta(hours=1)).isoformat(timespec="seconds"),
        )
        request = dataclasses.replace(request, **changed)
        return open_request(self.life.root, self.settings, request).request

    def cast(self, name: str, choice: Any = "yes", reason: str = "") -> Standing:
        where = (self.life.root, self.settings, self.request)
        return cast(*where, choice, reason, self.life.key(name))

    def standing(self) -> Standing:
        return standing(self.life.root, self.settings, self.request)

    def written(self, name: str, signature: str, **said: str) -> None:
        """A vote written straight into the ledger."""
        event = Event(
            f"{name}@x.org",
            VOTE,
            MODEL,
            said.get("choice", "yes"),
            reason=said.get("reason", ""),
            digests={"request": self.request.id},
            facts={"signature": signature},
        )
        ledger_of(self.settings.stack).append(event)

    def filed(self, request: Request, **other: Mapping[str, str]) -> None:
        """A request written straight into the ledger, as `open_request` writes it but for that."""
        asked = ledger_of(self.settings.stack).entries(Wanted(action=(REQUEST,)))[0].event
        facts = {**asked.facts, "expires": request.expires, **other.get("facts", {})}
        digests = {**asked.digests, "request": request.id, **other.get("digests", {})}
        ledger_of(self.settings.stack).append(
            dataclasses.replace(asked, facts=facts, digests=digests, once="")
        )

    def signers(self, text: str) -> None:
        (self.life.root / "allowed_signers").write_text(text)

    def public(self, name: str) -> str:
        return self.life.key(name).with_suffix(".pub").read_text().strip()


@pytest.fixture
def office(tmp_path: Path) -> Office:
    return Office(tmp_path)


def test_two_owners_approve_together(office: Office) -> None:
    assert office.cast("ada").state == "waiting"
    assert office.cast("bob").approved


@pytest.mark.parametrize(
    ("name", "why"), [("mallory", "not signed with a key"), ("eve", "none of the roles owner")]
)
def test_who_is_not_allowed_does_not_vote(office: Office, name: str, why: str) -> None:
    with pytest.raises(ApprovalRefused, match=why):
        office.cast(name)

    assert office.standing().yes == ()
    assert ledger_of(office.settings.stack).entries()[-1].event.action != VOTE


@pytest.mark.parametrize("author", ["ada@x.org", "ADA@x.org"])
def test_an_author_does_not_approve(tmp_path: Path, author: str) -> None:
    office = Office(tmp_path, authors=(author,))

    with pytest.raises(ApprovalRefused, match="author"):
        office.cast("ada")


def test_an_authors_key_under_another_name_does_not_approve(tmp_path: Path) -> None:
    office = Office(tmp_path, authors=("eve@x.org",))
    key = office.public("eve")
    office.signers(f"bob@x.org {key}\neve@x.org {key}\n")
    office.request = office.opened(authors=("eve@x.org",))

    with pytest.raises(ApprovalRefused, match="author"):
        office.cast("eve")
    office.written("bob", sign(statement(office.request, "yes", ""), office.life.key("eve")))
    assert office.standing().yes == ()


def test_nobody_votes_twice(office: Office) -> None:
    office.cast("ada")

    with pytest.raises(ApprovalRefused, match="voted already"):
        office.cast("ada", reason="once more")
    office.written("ada", sign(statement(office.request, "yes", "x"), office.life.key("ada")))
    assert office.standing().state == "waiting"


def test_one_key_under_two_names_is_one_vote(office: Office) -> None:
    office.signers(f"ada@x.org,bob@x.org {office.public('ada')}\n")
    office.request = office.opened()
    office.cast("ada")
    office.written("bob", sign(statement(office.request, "yes", ""), office.life.key("ada")))

    found = office.standing()

    assert (found.state, found.yes) == ("waiting", ("ada@x.org",))
    assert "bob@x.org has voted already" in found.summary


def test_one_no_ends_it(office: Office) -> None:
    office.cast("ada")
    assert office.cast("bob", "no").state == "rejected"

    with pytest.raises(ApprovalRefused, match="rejected"):
        office.cast("bob")


def test_after_its_hour_a_request_is_over(tmp_path: Path) -> None:
    office = Office(tmp_path, expires=datetime.now(UTC).isoformat(timespec="seconds"))

    with pytest.raises(ApprovalRefused, match="expired"):
        office.cast("ada")


def test_a_request_written_past_us_with_a_late_hour_is_not_used(office: Office) -> None:
    """It binds the very same things, and would be open for ever."""
    forged = dataclasses.replace(office.request, expires="9999-12-31T00:00:00+00:00")
    office.filed(forged)

    again = office.opened()

    assert again == office.request
    assert standing(office.life.root, office.settings, forged).state == "expired"


@pytest.mark.parametrize(
    "spoil", ["no facts", "another id", "no number", "no list", "no signature"]
)
def test_what_is_written_past_us_and_is_no_request_or_vote_counts_as_nothing(
    office: Office, spoil: str
) -> None:
    filed, asked = office.filed, office.request
    where = (office.life.root, office.settings, MODEL)
    if spoil == "no facts":
        ledger_of(office.settings.stack).append(Event("eve", REQUEST, MODEL, "open"))
    elif spoil == "no signature":
        digests = {"request": asked.id}
        ledger_of(office.settings.stack).append(Event("ada@x.org", VOTE, MODEL, "yes", "", digests))
    else:
        facts = {"no number": {"version": "x"}, "no list": {"authors": "[" * 4000}}.get(spoil, {})
        filed(asked, facts=facts, digests={"request": "f" * 64} if spoil == "another id" else {})

    assert [each.request for each in requests_of(*where)] == [asked]
    assert office.cast("ada").yes == ("ada@x.org",)
    assert office.cast("bob").approved


def test_a_vote_under_other_terms_of_measuring_is_refused(office: Office) -> None:
    """The policy's limits are numbers; what they are measured in belongs to them."""
    evaluation = office.settings.evaluation
    for other in ({"primary": "accuracy"}, {"confidence": 0.01}, {"slices": ("y",)}):
        changed = office.settings.model_copy(
            update={"evaluation": evaluation.model_copy(update=other)}
        )
        with pytest.raises(ApprovalRefused, match="edited"):
            cast(office.life.root, changed, office.request, "yes", "", office.life.key("ada"))
    faster = office.settings.model_copy(
        update={"evaluation": evaluation.model_copy(update={"bootstrap_samples": 200})}
    )
    key = office.life.key("ada")
    assert cast(office.life.root, faster, office.request, "yes", "", key).yes == ("ada@x.org",)


def test_a_vote_after_an_edit_of_policy_or_signers_is_refused(office: Office) -> None:
    office.rules = {"quorum": 1}
    with pytest.raises(ApprovalRefused, match="edited"):
        office.cast("ada")

    office.rules = {"quorum": 2}
    office.signers(f"ada@x.org {office.public('ada')}\n\n")
    with pytest.raises(ApprovalRefused, match="edited"):
        office.cast("ada")


def test_a_signature_counts_only_for_what_was_signed(office: Office) -> None:
    key, asked = office.life.key("ada"), office.request
    other = dataclasses.replace(asked, candidate="d" * 64)
    office.written("ada", sign(statement(other, "yes", ""), key))
    office.written("ada", sign(statement(asked, "no", ""), key))
    office.written("ada", sign(statement(asked, "yes", "if it rains"), key), reason="")
    office.written("bob", sign(statement(asked, "yes", ""), key))
    office.written("bob", sign(statement(asked, "yes", ""), office.life.key("mallory")))
    office.written("*", sign(statement(asked, "yes", ""), key))
    office.written("ada", "no signature at all")

    found = office.standing()

    assert (found.state, found.yes, len(found.ignored)) == ("waiting", (), 7)


def test_a_forged_vote_does_not_keep_the_real_one_out(office: Office) -> None:
    forged = Event(
        "ada@x.org", VOTE, MODEL, "yes",
        digests={"request": office.request.id}, facts={"signature": "x"},
        once=f"vote:{office.request.id}:yes:ada@x.org",
    )  # fmt: skip
    ledger_of(office.settings.stack).append(forged)

    assert office.cast("ada").yes == ("ada@x.org",)


@pytest.mark.parametrize("name", [each.name for each in dataclasses.fields(Request)])
def test_a_request_with_any_field_changed_is_not_what_was_signed(office: Office, name: str) -> None:
    asked, signers = office.request, office.life.root / "allowed_signers"
    signature = sign(statement(asked, "yes", "ok"), office.life.key("ada"))
    was = getattr(asked, name)
    other = was + 1 if isinstance(was, int) else (*was, "x") if name == "authors" else was + "0"
    changed = dataclasses.replace(asked, **{name: other})

    assert signer_of(statement(asked, "yes", "ok"), signature, "ada@x.org", signers)
    assert changed.id != asked.id
    assert not signer_of(statement(changed, "yes", "ok"), signature, "ada@x.org", signers)


def test_a_changed_vote_is_not_what_was_signed(office: Office) -> None:
    asked, signers = office.request, office.life.root / "allowed_signers"
    signature = sign(statement(asked, "yes", "ok"), office.life.key("ada"))

    for choice, reason, who in (("no", "ok", "ada"), ("yes", "", "ada"), ("yes", "ok", "bob")):
        signed = statement(asked, choice, reason)  # type: ignore[arg-type]
        assert not signer_of(signed, signature, f"{who}@x.org", signers)
    assert digest(asked) == asked.id


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, Path]:
    """A statement, the bytes of ada's signature of it, and the allowed signers."""
    life = Life(tmp_path_factory.mktemp("signed"))
    life.people()
    said = statement(ASKED, "yes", "looks right")
    return said, _bare(sign(said, life.key("ada"))), life.root / "allowed_signers"


EDITS = st.one_of(
    st.tuples(st.just("flip"), st.integers(0), st.integers(1, 255)),
    st.tuples(st.just("cut"), st.integers(0), st.just(0)),
    st.tuples(st.just("add"), st.integers(0), st.integers(0, 255)),
)


@given(edit=EDITS, which=st.sampled_from(["statement", "signature"]))
@settings(max_examples=120, deadline=None)
def test_no_byte_of_an_approval_can_be_changed(
    signed: tuple[bytes, bytes, Path], edit: tuple[str, int, int], which: str
) -> None:
    said, signature, signers = signed
    assert signer_of(said, _armoured(signature), "ada@x.org", signers)
    if which == "statement":
        said = _edited(said, *edit)
    else:
        signature = _edited(signature, *edit)

    assert signer_of(said, _armoured(signature), "ada@x.org", signers) is None


def _edited(content: bytes, how: str, place: int, value: int) -> bytes:
    place %= len(content)
    if how == "flip":
        return content[:place] + bytes([content[place] ^ value]) + content[place + 1 :]
    if how == "cut":
        return content[:place]
    return content[:place] + bytes([value]) + content[place:]


def _bare(armoured: str) -> bytes:
    return base64.b64decode("".join(armoured.strip().splitlines()[1:-1]))


def _armoured(signature: bytes) -> str:
    body = base64.encodebytes(signature).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{body}-----END SSH SIGNATURE-----\n"
