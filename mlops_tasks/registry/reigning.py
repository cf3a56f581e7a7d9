"""The champion that somebody must have: what scores, watches or explains it cannot do without."""

from mlops_tasks.artifacts import Champion
from mlops_tasks.drift.profile import Profile
from mlops_tasks.errors import RegistryError
from mlops_tasks.registry.client import connect, talking
from mlops_tasks.registry.models import by_number
from mlops_tasks.registry.release import Release, current_champion, open_release
from mlops_tasks.settings.schema import Settings, StackSettings


def reigning_champion(settings: Settings) -> Champion:
    """The verified champion of the project's stage.

    Raises
    ------
    RegistryError
        If there is none, or the registry does not answer.
    AlteredObject
        If it is not, in every byte, what was registered.
    """
    champion = current_champion(settings.stack, settings.registered_model)
    if champion is None:
        raise RegistryError(
            "there is no champion yet",
            where=settings.registered_model,
            next_step="run `mlops train`",
        )
    return champion


def version_of(stack: StackSettings, model: str, number: int) -> Champion:
    """A version that is or was champion, verified.

    Raises
    ------
    RegistryError
        If there is no such version.
    AlteredObject
        If it is not, in every byte, what was registered.
    """
    release = _opened(stack, model, number)
    return Champion(release.version, release.run_id, release.evidence.candidate)


def release_of(stack: StackSettings, model: str, champion: Champion) -> Release:
    """The verified release of a version: its evidence, and what was sealed with it.

    Raises
    ------
    RegistryError
        If there is no such version.
    AlteredObject
        If it is not, in every byte, what was registered.
    """
    return _opened(stack, model, champion.version)


def reference_of(release: Release, model: str) -> Profile:
    """The reference profile of a release.

    Raises
    ------
    RegistryError
        If it was registered without one.
    """
    profile = release.files.profile
    if profile is None:
        raise RegistryError(
            "this version was registered without a reference profile",
            where=f"{model} version {release.version}",
            next_step="register it again with this version of mlops-tasks: `mlops train --fresh`",
        )
    return profile


def _opened(stack: StackSettings, model: str, number: int) -> Release:
    client = connect(stack)
    with talking(stack):
        return open_release(client, stack, by_number(client, model, number))
