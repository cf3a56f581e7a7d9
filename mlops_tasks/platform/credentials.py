"""A user name and password that may be handed around without being shown.

Guarantee: neither `repr` nor an error says the password. Where they come from is the caller's
affair; the library reads none from files.
"""

from dataclasses import dataclass, field

from mlops_tasks.errors import PlatformError

SHIPPED = "password1234"  # of every older MLflow: basic_auth.ini
SHORTEST = 12


@dataclass(frozen=True)
class Credentials:
    """Who somebody is, and the password that proves it.

    Raises
    ------
    PlatformError
        If the name cannot be sent, or the password is short or publicly known.
    """

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.username or ":" in self.username:
            raise PlatformError(
                "a user name must not be empty or contain a colon",
                where="user name",
                next_step="choose another",
            )
        if self.password == SHIPPED or len(self.password) < SHORTEST:
            raise PlatformError(
                "this password is too short, or the one that MLflow once came with",
                where=f"password of {self.username!r}",
                next_step=f"take a random one of {SHORTEST} characters or more",
            )

    @property
    def pair(self) -> str:
        """Both, as basic authentication wants them."""
        return f"{self.username}:{self.password}"
