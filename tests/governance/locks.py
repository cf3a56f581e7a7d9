"""Lock files as uv writes them, of any packages, and wheels that uv can install."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from mlops_tasks.governance.lock_file import Locked

INDEX = 'source = { registry = "https://index.example/simple" }'


def lock_of(packages: Mapping[str, Locked], python: str = ">=3.11") -> str:
    """The lock of a project that needs these packages and no others."""
    needed = "".join(f'    {{ name = "{name}" }},\n' for name in packages)
    entries = [
        f'[[package]]\nname = "{name}"\nversion = "{each.version}"\n{INDEX}\n'
        for name, each in packages.items()
    ]
    project = '[[package]]\nname = "flight-delay"\nversion = "0.1.0"\nsource = { editable = "." }\n'
    head = f'version = 1\nrevision = 3\nrequires-python = "{python}"\n'
    return "\n".join([head, project + f"dependencies = [\n{needed}]\n", *entries])


def write_wheel(folder: Path, name: str, version: str, needs: str = "") -> Path:
    """A wheel with one module."""
    folder.mkdir(parents=True, exist_ok=True)
    path, info = folder / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    if needs:
        metadata += f"Requires-Dist: {needs}\n"
    wheel = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files = {f"{name}.py": "", f"{info}/METADATA": metadata, f"{info}/WHEEL": wheel}
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(file, text)
    return path
