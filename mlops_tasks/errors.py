"""One family of errors. Each says what is wrong, where, and what to do next.

    MlopsError
    ├── SettingsError        the configuration cannot be composed or is not valid
    ├── ProjectError         this folder is not a project, or its code does not fit the library
    ├── DataError            the data cannot be used
    │   ├── DataUnavailable  the file is neither here nor on the DVC remote
    │   └── ContractBroken   rows or columns break the project's contract
    ├── TrainingError        the estimator cannot be built or fitted as asked
    ├── StorageError         an object cannot be written or read back as it was
    │   └── AlteredObject    its content is not what its digest says
    ├── RegistryError        the tracking store or the registry refuses or does not answer
    ├── GovernanceError      a rule of trust says no
    │   ├── LedgerError      the record of events cannot be written, read or believed
    │   ├── ApprovalRefused  a vote or a request does not count
    │   └── PromotionRefused a model is not let in, or not just now
    ├── PlatformError        a local service does not start or a tool is missing
    └── Interrupted          the user pressed Ctrl-C

Nothing here decides an exit code: `cli` maps `Interrupted` to 130 and all others to 1.
"""

from collections.abc import Sequence


class MlopsError(Exception):
    """Something the user can put right.

    Parameters
    ----------
    what
        What is wrong, in one sentence.
    where
        The file, key, column or address it is about.
    next_step
        The command to type or the change to make.
    """

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        self.what = what
        self.where = where
        self.next_step = next_step
        super().__init__(what, where, next_step)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments: without this, Prefect could not carry the error between processes.
        return (_rebuild, (type(self), self.__dict__.copy()))

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.next_step:
            lines.append(f"  next:  {self.next_step}")
        return "\n".join(lines)


def _rebuild(kind: type[MlopsError], state: dict[str, object]) -> MlopsError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (error.what, error.where, error.next_step)
    return error


class SettingsError(MlopsError):
    """The configuration cannot be composed, or a key or value in it is not allowed."""


class ProjectError(MlopsError):
    """The folder is not a generated project, or its code does not fit the library."""


class DataError(MlopsError):
    """The data cannot be used for what was asked."""


class DataUnavailable(DataError):
    """A versioned file is neither in the workspace nor on the remote."""


class ContractBroken(DataError):
    """Rows or columns break the contract.

    Parameters
    ----------
    what, where, next_step
        As for `MlopsError`.
    rows
        Number of rows that were read.
    bad_rows
        Number of rows that break at least one rule.
    examples
        A bounded list of "row 17: distance_miles = -3.0 breaks min" lines.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        next_step: str = "",
        rows: int = 0,
        bad_rows: int = 0,
        examples: Sequence[str] = (),
    ) -> None:
        super().__init__(what, where=where, next_step=next_step)
        self.rows = rows
        self.bad_rows = bad_rows
        self.examples = tuple(examples)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"    {line}" for line in self.examples)])


class TrainingError(MlopsError):
    """The estimator cannot be built or fitted as asked."""


class StorageError(MlopsError):
    """An object cannot be written, or cannot be read back."""


class AlteredObject(StorageError):
    """The content of an object is not what its digest says: it is not used."""


class RegistryError(MlopsError):
    """The tracking store or the model registry refuses, or does not answer."""


class GovernanceError(MlopsError):
    """A rule of trust says no."""


class LedgerError(GovernanceError):
    """The record of events cannot be written, read or believed."""


class ApprovalRefused(GovernanceError):
    """A vote or a request does not count: wrong person, wrong key, too late, of something else."""


class ResidencyRefused(GovernanceError):
    """Data would be processed or kept where it may not be, or nobody has said where that is."""


class PromotionRefused(GovernanceError):
    """A model is not let in: not approved, not what was approved, or another was quicker."""


class PlatformError(MlopsError):
    """A local service does not start, or a tool is missing."""


class Interrupted(MlopsError):
    """The user pressed Ctrl-C while a flow was running."""
