"""Every vote that ever leaves a validator, in all epochs, over all restarts and processes: no key contradicts itself.

A vote counts for the key that signed it, whoever sent it and wherever it stood, in a message of its own, in a proposal
or in a certificate.  So two machines with one key are judged as one validator, which is what the others see.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from cccnode.codec import DecodeError
from cccnode.types.certificate import Certificate, signer_indices
from cccnode.types.validators import EpochRecord
from cccnode.types.vote import Kind, Proposal, Vote, contradict, vote_bytes
from consensus.messages import CertificatesMessage, Message, ProposalMessage, VotesMessage, decode_message

Verify = Callable[[Sequence[bytes], Sequence[bytes], Sequence[bytes]], list[bool]]


@dataclass(slots=True)
class Audit:
    """What each validator said, by epoch, index and view."""

    chain: bytes
    verify: Verify
    coverage: Counter[str]
    records: dict[int, EpochRecord] = field(default_factory=dict)
    said: dict[tuple[int, int, int], list[Vote]] = field(default_factory=lambda: defaultdict(list))
    """(epoch, signer, view) -> different votes."""
    split: list[str] = field(default_factory=list)
    """Epochs of which two records exist."""
    _last: bytes = b""
    _repeated: set[tuple[int, Proposal]] = field(default_factory=set)

    def know(self, record: EpochRecord) -> None:
        """Somebody is in this epoch."""
        before, known = self.records.get(record.epoch - 1), self.records.get(record.epoch)
        if known is None:
            self.records[record.epoch] = record
            if before is not None:
                self._count_changes(before, record)
        elif known != record:
            self.split.append(f"two records of epoch {record.epoch}")

    def _count_changes(self, before: EpochRecord, after: EpochRecord) -> None:
        old = {row.organisation: row for row in before.validators}
        new = {row.organisation: row for row in after.validators}
        both = old.keys() & new.keys()
        self.coverage.update(
            {
                "epochs": 1,
                "joins": len(new.keys() - old.keys()),
                "removals": len(old.keys() - new.keys()),
                "rotations": sum(old[name].consensus_key != new[name].consensus_key for name in both),
                "moved nodes": sum(old[name].node_keys != new[name].node_keys for name in both),
            }
        )

    def hear(self, payload: bytes) -> None:
        """A consensus message leaves some node.  What a liar garbled says nothing."""
        if payload is self._last:
            return  # The same to the next validator.
        self._last = payload
        try:
            message: Message = decode_message(payload)
        except DecodeError:
            return
        if message.epoch not in self.records:
            return
        for vote in self._votes_in(message):
            self._note(message.epoch, vote)

    def _votes_in(self, message: Message) -> Iterator[Vote]:
        match message:
            case ProposalMessage(proposal=proposal, signature=signature):
                for index in range(len(self.records[message.epoch].validators)):
                    yield Vote(Kind.NOTARIZE, proposal, index, signature)
                for certificate in (*message.justification, *filter(None, (message.finalization,))):
                    yield from _votes_of(certificate)
                if proposal.view > message.header.view and (message.epoch, proposal) not in self._repeated:
                    self._repeated.add((message.epoch, proposal))
                    self.coverage["re-proposals"] += 1
            case VotesMessage(votes=votes):
                yield from votes
            case CertificatesMessage(certificates=certificates):
                for certificate in certificates:
                    yield from _votes_of(certificate)

    def _note(self, epoch: int, vote: Vote) -> None:
        validators = self.records[epoch].validators
        said = self.said[epoch, vote.signer, vote.proposal.view]
        if vote.signer >= len(validators) or any(
            other.kind == vote.kind and other.proposal == vote.proposal for other in said
        ):
            return
        message = vote_bytes(vote.kind, self.chain, epoch, vote.proposal)
        if self.verify([message], [vote.signature], [validators[vote.signer].consensus_key])[0]:
            said.append(vote)

    def contradictions(self) -> Iterator[tuple[str, str, set[Kind]]]:
        """Organisation, what it said twice, and the kinds of the two votes."""
        for (epoch, signer, view), votes in sorted(self.said.items()):
            pairs = [(one, two) for at, one in enumerate(votes) for two in votes[:at] if contradict(one, two)]
            for one, two in pairs:
                name = self.records[epoch].validators[signer].organisation
                yield name, f"epoch {epoch}, view {view}: {two.kind.name} and {one.kind.name}", {one.kind, two.kind}

    def violations(self, liars: Collection[str], unwitnessed: Collection[str] = ()) -> list[str]:
        """What must not be.  The contradictions of liars are counted only.

        So is one kind of those whose older self returned unwitnessed: it may give up a view that it had finalized, for
        without that a network that lost power could not go on (R13).  It never notarizes or finalizes again.
        """
        found = list(self.split)
        for name, what, kinds in self.contradictions():
            if name in liars:
                self.coverage["contradictions of liars"] += 1
            elif name in unwitnessed and kinds == {Kind.NULLIFY, Kind.FINALIZE}:
                self.coverage["unwitnessed contradictions"] += 1
            else:
                found.append(f"{name} contradicts itself in {what}")
        return found


def _votes_of(certificate: Certificate) -> Iterator[Vote]:
    for signer, signature in zip(signer_indices(certificate.bitmap), certificate.signatures, strict=False):
        yield Vote(certificate.kind, certificate.proposal, signer, signature)
