"""Projects are generated as a user would: what comes out, what is refused, what is recorded."""

import ast
import hashlib
import json
import shutil
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from conftest import Desk, Hosted

ROOT = Path(__file__).parents[2]
DATA = Path("data/flights.parquet")
NEXT_STEPS = ["cd flight-delay", "uv sync", "uv run mlops train"]


def pyproject(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text("utf-8"))


def pin(project: Path) -> dict[str, Any]:
    source: dict[str, Any] = pyproject(project)["tool"]["uv"]["sources"]["mlops-tasks"]
    return source


def conf(project: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((project / "conf" / name).read_text("utf-8"))
    return content


def assert_every_file_parses(project: Path) -> None:
    pyproject(project)
    for file in project.rglob("*.y*ml"):
        yaml.safe_load(file.read_text("utf-8"))
    for file in project.rglob("*.py"):
        ast.parse(file.read_text("utf-8"))


def assert_refused(done: Any, out: Path, sentence: str) -> None:
    assert done.returncode == 1
    assert sentence in done.stderr
    assert list(out.iterdir()) == []


# ---- what is supported


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"project_name": "Bob's Ümläut (v2) & Co., 飛行", "project_slug": "bob"},
        {"project_name": "𝔘nicode 𠮷", "author_name": "Zoë O’Brien-Ñandú Jr."},
        {"author_name": "देवनागरी", "project_slug": "a"},
        {"project_slug": "a1-b2-c3"},
        {"project_slug": "x" * 50},
        {"model": "boosting", "python_version": "3.12", "ci": "gitlab"},
        {"model": "linear", "python_version": "3.13", "data_region": "eu-west-1"},
        {"model": "tree", "data_region": "3a"},
        {"data_remote": "s3://team-data/flights/v=1"},
        {"data_remote": "gs://team-data"},
        {"data_remote": "azure://container/path/"},
        {"repository_url": "https://github.com/acme/flights.git", "ci": "github"},
        {"repository_url": "git@gitlab.com:acme/sub/flights.git", "ci": "gitlab"},
        {"repository_url": "ssh://git@gitlab.acme.com:2222/ml/flights", "ci": "gitlab"},
        {"repository_url": "https://git.acme.com/ml/flights", "ci": "gitlab"},
    ],
)
def test_supported_answers_make_a_committed_project(desk: "Desk", answers: dict[str, str]) -> None:
    project = desk.make(**answers)
    assert_every_file_parses(project)
    assert desk.git("status", "--porcelain", cwd=project) == ""
    assert desk.git("rev-list", "--count", "HEAD", cwd=project) == "1"
    assert desk.git("symbolic-ref", "HEAD", cwd=project) == "refs/heads/main"
    name = answers.get("project_name", "Flight Delay")
    subject = desk.git("log", "--format=%s", cwd=project)
    assert subject == f"Start {name} from the template"


def test_defaults_are_the_ones_the_first_page_shows(desk: "Desk") -> None:
    done = desk.cookiecutter()
    assert done.returncode == 0
    assert done.stdout.splitlines()[-3:] == NEXT_STEPS
    assert (desk.out / "flight-delay" / "src" / "flight_delay").is_dir()


@pytest.mark.parametrize(
    "name", ["Flight Delay", "flight_delay", "  flight-delay", "Flight  Delay"]
)
def test_slug_follows_from_the_name(desk: "Desk", name: str) -> None:
    assert desk.make(project_name=name.strip()).name == "flight-delay"


def test_no_file_still_holds_an_unrendered_answer(desk: "Desk") -> None:
    project = desk.make()
    for name in desk.git("ls-files", cwd=project).splitlines():
        assert "cookiecutter" not in name
        if not name.endswith(".parquet"):
            text = (project / name).read_text("utf-8")
            assert "{{ cookiecutter" not in text
            assert "{%" not in text


def test_data_is_copied_byte_for_byte(desk: "Desk") -> None:
    original = desk.template / "{{cookiecutter.project_slug}}"
    project = desk.make()
    for file in (DATA, Path("tests/flights.parquet")):
        assert (project / file).read_bytes() == (original / file).read_bytes()


def test_python_api_makes_the_same_project(desk: "Desk", monkeypatch: pytest.MonkeyPatch) -> None:
    from cookiecutter.main import cookiecutter

    for name, value in desk.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PWD", "/somewhere/else")  # a process that changed its folder
    result = cookiecutter(
        str(desk.template),
        no_input=True,
        output_dir=str(desk.out),
        config_file=str(desk.config),
        extra_context={"project_name": "From The Api"},
    )
    assert Path(result) == desk.out / "from-the-api"
    assert pin(Path(result))["path"] == desk.template.as_posix()
    assert desk.git("status", "--porcelain", cwd=Path(result)) == ""


# ---- every prompt changes a file


def test_project_name_is_the_description(desk: "Desk") -> None:
    assert pyproject(desk.make(project_name="Late Trains"))["project"]["description"] == (
        "Late Trains"
    )


def test_project_slug_names_folder_distribution_package_and_configuration(desk: "Desk") -> None:
    project = desk.make(project_slug="late-trains")
    assert project.name == "late-trains"
    assert pyproject(project)["project"]["name"] == "late-trains"
    assert (project / "src" / "late_trains" / "__init__.py").is_file()
    assert conf(project, "config.yaml")["project"] == "late-trains"


def test_author_name_is_in_pyproject(desk: "Desk") -> None:
    project = desk.make(author_name="Conan O'Brien")
    assert pyproject(project)["project"]["authors"] == [{"name": "Conan O'Brien"}]


@pytest.mark.parametrize("model", ["forest", "boosting", "linear", "tree"])
def test_model_is_the_default_one(desk: "Desk", model: str) -> None:
    project = desk.make(model=model)
    assert {"model": model} in conf(project, "config.yaml")["defaults"]
    assert (project / "conf" / "model" / f"{model}.yaml").is_file()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_python_version_is_required(desk: "Desk", version: str) -> None:
    project = desk.make(python_version=version)
    assert pyproject(project)["project"]["requires-python"].startswith(f">={version}")
    ci = (project / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    assert version in ci


@pytest.mark.parametrize(
    ("ci", "kept", "removed"),
    [
        ("github", ".github/workflows/ci.yml", ".gitlab-ci.yml"),
        ("gitlab", ".gitlab-ci.yml", ".github"),
    ],
)
def test_only_the_chosen_ci_remains(desk: "Desk", ci: str, kept: str, removed: str) -> None:
    project = desk.make(ci=ci)
    assert (project / kept).is_file()
    assert not (project / removed).exists()


def test_repository_url_is_origin_and_project_url(desk: "Desk") -> None:
    url = "https://github.com/acme/flights.git"
    project = desk.make(repository_url=url)
    assert desk.git("remote", "get-url", "origin", cwd=project) == url
    assert url in pyproject(project)["project"]["urls"].values()


def test_no_repository_url_leaves_no_origin(desk: "Desk") -> None:
    project = desk.make()
    assert desk.git("remote", cwd=project) == ""
    assert "urls" not in pyproject(project)["project"]


@pytest.mark.parametrize("region", ["local", "eu-west-1"])
def test_data_region_is_the_only_one_where_data_may_be(desk: "Desk", region: str) -> None:
    made = desk.make(data_region=region)
    assert conf(made, "data/flights.yaml")["regions"] == [region]
    assert set(conf(made, "stack/local.yaml")["regions"].values()) == {region}
    assert conf(made, "policy/default.yaml")["residency"]["public"]["regions"] == [region]


@pytest.mark.parametrize("scheme", ["s3", "gs", "azure"])
def test_cloud_remote_needs_its_extra_and_leaves_the_push(desk: "Desk", scheme: str) -> None:
    remote = f"{scheme}://team-data/flights"
    done = desk.cookiecutter(data_remote=remote)
    project = desk.out / "flight-delay"
    assert f"the data is not at {remote} yet: `uv run dvc push`" in done.stdout
    assert remote in desk.dvc("remote", "list", cwd=project)
    (library,) = [
        each for each in pyproject(project)["project"]["dependencies"] if "mlops-tasks" in each
    ]
    assert library == f"mlops-tasks[{scheme},serving,tuning]"


@pytest.mark.parametrize("name", ["dvc-store", "with space", "Ünï", "a=b@c+(d)"])
def test_folder_remote_holds_the_data(desk: "Desk", name: str) -> None:
    remote = desk.base / name
    project = desk.make(data_remote=str(remote))
    assert f"url = {remote.as_posix()}\n" in (project / ".dvc" / "config").read_text("utf-8")
    assert stored(remote) == (project / DATA).read_bytes()
    assert desk.dvc("status", "--cloud", cwd=project).endswith("in sync.")


def stored(remote: Path) -> bytes:
    (file,) = (each for each in remote.rglob("*") if each.is_file())
    content = file.read_bytes()
    assert file.parent.name + file.name == hashlib.md5(content).hexdigest()
    return content


# ---- what is refused

LONG = "x" * 51
REFUSED = [
    ({"project_slug": "Flight"}, "project_slug is 'Flight': lowercase letters and digits in words"),
    ({"project_slug": "flight_delay"}, "joined by single '-' are allowed"),
    ({"project_slug": "2024-flights"}, "starting with a letter"),
    ({"project_slug": "flight--delay"}, "project_slug is 'flight--delay'"),
    ({"project_slug": "flight-"}, "project_slug is 'flight-'"),
    ({"project_slug": "flüge"}, "project_slug is 'flüge'"),
    ({"project_slug": LONG}, "project_slug has 51 characters: at most 50 are allowed."),
    ({"project_slug": "class"}, "project_slug 'class' is a word of the Python language"),
    ({"project_slug": "match"}, "project_slug 'match' is a word of the Python language"),
    ({"project_slug": "json"}, "is a module of Python's standard library: choose another name"),
    *(
        ({"project_slug": name}, f"project_slug '{name}' is reserved by this template, by Windows")
        for name in ("tests", "src", "conf", "data", "mlops", "mlops-tasks", "con", "nul", "aux")
    ),
    *(
        ({"project_slug": name}, "is reserved by")
        for name in ("prn", "com1", "lpt9", "yes", "null")
    ),
    *(
        ({"project_slug": name}, f"project_slug '{name}' is a package that the project itself uses")
        for name in ("prefect", "mlflow", "hydra", "sklearn", "scikit-learn", "polars", "git")
    ),
    ({"project_name": "2024"}, "project_slug is '2024'"),
    ({"project_name": "", "project_slug": "a"}, "project_name is empty: type at least one"),
    ({"author_name": "   "}, "author_name is empty"),
    ({"author_name": 'Jane "J" Doe'}, "author_name contains '\"': letters, digits, spaces and"),
    ({"author_name": "Jane\\Doe"}, "author_name contains '\\\\'"),
    ({"author_name": "Jane\nDoe"}, "author_name contains '\\n'"),
    ({"author_name": "Jane # Doe: x"}, "author_name contains '#', ':'"),
    ({"author_name": "- Jane"}, "author_name is '- Jane': it must start with a letter or digit"),
    ({"author_name": "Jane "}, "not end in space."),
    ({"project_name": "Flights 🛫", "project_slug": "a"}, "project_name contains '🛫'"),
    ({"project_name": "a\u202eb", "project_slug": "a"}, "project_name contains '\\u202e'"),
    ({"project_name": "x" * 81, "project_slug": "a"}, "at most 80 are allowed"),
    ({"data_region": "EU West"}, "data_region is 'EU West': a word of lowercase letters"),
    ({"data_region": ""}, "data_region is ''"),
    ({"data_region": "-eu"}, "data_region is '-eu'"),
    ({"data_region": "1e5"}, "data_region is '1e5'"),
    ({"data_region": "null"}, "data_region is 'null'"),
    ({"repository_url": "flights"}, "repository_url is 'flights': https://host/path"),
    ({"repository_url": "http://host/x"}, "ssh://git@host/path or git@host:path"),
    ({"repository_url": "https://me:secret@host/x"}, "without a password is allowed"),
    ({"repository_url": "ext::sh -c whoami"}, "repository_url is 'ext::sh -c whoami'"),
    ({"repository_url": "--upload-pack=x"}, "repository_url is '--upload-pack=x'"),
    ({"repository_url": "git@-oProxyCommand=x:y"}, "repository_url is 'git@-oProxyCommand"),
    (
        {"repository_url": "git@github.com:acme/x.git", "ci": "gitlab"},
        "repository_url is on github.com but ci is gitlab: choose ci=github, or a repository",
    ),
    (
        {"repository_url": "https://gitlab.acme.com/x", "ci": "github"},
        "repository_url is on gitlab.acme.com but ci is github: choose ci=gitlab, or a repository",
    ),
    ({"data_remote": "ftp://host/x"}, "ftp:// is not known; s3://, gs://, azure:// or an absolute"),
    ({"data_remote": "S3://bucket"}, "S3:// is not known"),
    ({"data_remote": "s3://"}, "a bucket and a path of letters, digits and . _ - = are allowed"),
    ({"data_remote": "s3://key:secret@bucket/x"}, "for example s3://bucket/path."),
    ({"data_remote": "relative/folder"}, "an absolute folder of letters, digits, spaces and"),
    ({"data_remote": "/tmp/a\nb"}, "data_remote is '/tmp/a\\nb': an absolute folder"),
    ({"data_remote": __file__}, "is a file: a folder is needed."),
]


@pytest.mark.parametrize(("answers", "sentence"), REFUSED)
def test_refusal_is_one_sentence_and_leaves_nothing(
    desk: "Desk", answers: dict[str, str], sentence: str
) -> None:
    assert_refused(desk.cookiecutter(**answers), desk.out, sentence)


def test_every_problem_is_told_at_once(desk: "Desk") -> None:
    done = desk.cookiecutter(project_slug="X", author_name="{", data_region="!", data_remote="x")
    told = [
        line.split()[0] for line in done.stderr.splitlines() if " is " in line or "contai" in line
    ]
    assert {"author_name", "project_slug", "data_region", "data_remote"} <= set(told)
    assert list(desk.out.iterdir()) == []


def test_slug_with_a_slash_leaves_no_file(desk: "Desk") -> None:
    done = desk.cookiecutter(project_slug="a/b")
    assert "project_slug is 'a/b'" in done.stderr
    # Cookiecutter makes the folder `a` before any hook runs and removes only `a/b`.
    assert [path.name for path in desk.out.rglob("*")] in ([], ["a"])


@pytest.mark.parametrize("slug", ["..", "../outside", "."])
def test_slug_cannot_leave_the_folder(desk: "Desk", slug: str) -> None:
    before = sorted(path.name for path in desk.base.iterdir())
    assert desk.cookiecutter(project_slug=slug).returncode == 1
    after = sorted(path.name for path in desk.base.iterdir() if path.name != "replay")
    assert after == before
    assert list(desk.out.iterdir()) == []


@pytest.mark.parametrize("choice", ["model=xgboost", "python_version=2.7", "ci=jenkins"])
def test_unknown_choice_is_refused(desk: "Desk", choice: str) -> None:
    name, value = choice.split("=")
    assert desk.cookiecutter(**{name: value}).returncode == 1
    assert list(desk.out.iterdir()) == []
    assert_refused(desk.replay(**{name: value}), desk.out, f"{name} is '{value}': choose one of ")


@pytest.mark.parametrize("value", [None, 5, True, ["x"], {"x": 1}])
def test_answer_that_is_not_text_is_refused(desk: "Desk", value: object) -> None:
    assert_refused(desk.replay(data_region=value), desk.out, "data_region must be text, not ")


def test_package_name_cannot_be_answered(desk: "Desk") -> None:
    done = desk.replay(__package_name="../../outside")
    assert_refused(done, desk.out, "__package_name is not the slug with '_'")


def test_installed_package_is_refused(desk: "Desk") -> None:
    site = desk.base / "site"
    (site / "flight_delay").mkdir(parents=True)
    (site / "flight_delay" / "__init__.py").touch()
    desk.env["PYTHONPATH"] = str(site)
    sentence = "project_slug 'flight-delay' is a package installed next to this Cookiecutter"
    assert_refused(desk.cookiecutter(), desk.out, sentence)


def test_project_in_the_same_folder_is_no_clash(desk: "Desk") -> None:
    (desk.out / "flight_delay").mkdir()
    (desk.out / "flight_delay" / "__init__.py").touch()
    desk.env["PYTHONPATH"] = str(desk.out)
    assert desk.cookiecutter().returncode == 0


HOSTILE = [
    '"; open("pwned", "w") #',
    "'; open('pwned', 'w') #",
    '"""; open("pwned", "w"); """',
    "\\",
    '\\"; open("pwned", "w") #',
    "\n__import__('pathlib').Path('pwned').touch()\n",
    "\r\nimport os",
    "\x00",
    "\x7f",
    "\x1b[2J",
    "\u2028open('pwned','w')",
    "\ud800",
    "🛫",
    "</script>",
    "{{ cycler.__init__.__globals__.os.system('touch pwned') }}",
    "{% raw %}",
    "{# x",
    "$(touch pwned)",
    "`touch pwned`",
    "%(x)s",
    "${oc.env:HOME}",
    "]\n[tool.uv]",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_answers_are_text_and_nothing_else(desk: "Desk", value: str) -> None:
    answers = ("project_name", "author_name", "repository_url", "data_region", "data_remote")
    done = desk.replay(**dict.fromkeys(answers, value))
    assert done.returncode == 1
    for name in answers:
        assert any(line.startswith(name) for line in done.stderr.splitlines()), done.stderr
    assert not list(desk.base.rglob("pwned"))
    assert list(desk.out.iterdir()) == []


def test_hook_knows_the_choices_of_cookiecutter_json(pre_hook: ModuleType) -> None:
    offered = json.loads((ROOT / "cookiecutter.json").read_text("utf-8"))
    visible = {name: value for name, value in offered.items() if not name.startswith("_")}
    choices = {name: tuple(value) for name, value in visible.items() if isinstance(value, list)}
    assert choices == pre_hook.CHOICES
    assert {*pre_hook.TEXTS, *choices} == set(visible)
    assert set(offered["__prompts__"]) == set(visible)


def test_hook_knows_every_direct_dependency(pre_hook: ModuleType) -> None:
    import importlib.metadata
    import re

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = {re.split(r"[><=\[ ;]", line)[0] for line in project["dependencies"]}
    imported = {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if named & {owner.lower() for owner in owners} and not module.startswith("_")
    }
    wanted = {name.replace("-", "_") for name in named} | imported
    assert not [n for n in wanted if n.isidentifier() and n not in pre_hook.DEPENDENCIES]


def test_old_python_is_refused_in_one_sentence(
    pre_hook: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    assert pre_hook.main() == 1
    assert "run Cookiecutter with 3.11 or later" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pre_gen_project", "post_gen_project"])
def test_old_python_can_read_the_hooks(name: str) -> None:
    source = (ROOT / "hooks" / f"{name}.py").read_text("utf-8")
    rendered = source.replace("{{ cookiecutter | jsonify | jsonify }}", '"{}"')
    ast.parse(rendered, feature_version=(3, 8))


# ---- where the library comes from


def test_local_template_is_pinned_to_its_folder_and_announced(desk: "Desk") -> None:
    done = desk.cookiecutter()
    assert pin(desk.out / "flight-delay") == {"path": desk.template.as_posix(), "editable": False}
    assert f"taken from {desk.template}, which only this computer has" in done.stdout
    assert 'uv add "mlops-tasks @ git+https://<where your team keeps it>" --tag' in done.stdout


@pytest.mark.parametrize("output", [".", "deeper/still"])
def test_relative_template_is_pinned_absolutely(desk: "Desk", output: str) -> None:
    shutil.copytree(desk.template, desk.out / "template")
    done = desk.cookiecutter("-o", output, template="template")
    assert done.returncode == 0, done.stderr
    project = desk.out / output / "flight-delay"
    assert pin(project)["path"] == (desk.out / "template").as_posix()
    near = output == "."
    assert done.stdout.splitlines()[-3] == f"cd {'flight-delay' if near else project}"


def test_folder_with_awkward_signs_is_pinned(desk: "Desk") -> None:
    odd = desk.base / 'my "odd" \\ Ünï 🛫 folder'
    shutil.copytree(desk.template, odd)
    assert desk.cookiecutter(template=odd).returncode == 0
    assert pin(desk.out / "flight-delay")["path"] == odd.as_posix()


def test_git_template_is_pinned_to_the_very_commit(desk: "Desk", hosted: "Hosted") -> None:
    done = desk.cookiecutter(template=hosted.url)
    assert done.returncode == 0, done.stderr
    assert pin(desk.out / "flight-delay") == {"git": hosted.url, "rev": hosted.main}
    assert "note:" not in done.stdout


def test_checked_out_tag_is_pinned_to_its_commit(desk: "Desk", hosted: "Hosted") -> None:
    done = desk.cookiecutter("--checkout", "v1.0", template=f"git+{hosted.url}")
    assert done.returncode == 0, done.stderr
    assert pin(desk.out / "flight-delay") == {"git": hosted.url, "rev": hosted.release}


@pytest.mark.parametrize("checkout", ["v1.0", ""])
def test_where_git_does_not_tell_the_commit_what_was_asked_for_is_pinned(
    desk: "Desk", hosted: "Hosted", checkout: str
) -> None:
    """As it is where the clone belongs to somebody else: git clones, and then tells nothing."""
    real, silent = shutil.which("git"), desk.base / "bin" / "git"
    silent.parent.mkdir()
    silent.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *rev-parse*HEAD*) echo "dubious ownership" >&2; exit 128;; esac\n'
        f'exec "{real}" "$@"\n'
    )
    silent.chmod(0o755)
    desk.env["PATH"] = f"{silent.parent}:{desk.env['PATH']}"
    words = ["--checkout", checkout] if checkout else []
    done = desk.cookiecutter(*words, template=hosted.url)
    assert done.returncode == 0, done.stderr
    told = "git does not tell the template's commit, so the library is not pinned to it: uv add"
    wanted = {"git": hosted.url}
    assert pin(desk.out / "flight-delay") == wanted | ({"rev": checkout} if checkout else {})
    assert (told in done.stdout) == (not checkout)


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("gh:acme/template", "https://github.com/acme/template.git"),
        ("gl:acme/template", "https://gitlab.com/acme/template.git"),
        ("team:template", "https://git.acme.com/acme/template.git"),
        ("git@github.com:acme/template.git", "ssh://git@github.com/acme/template.git"),
        ("https://me:secret@github.com/acme/template.git", "https://github.com/acme/template.git"),
    ],
)
def test_short_addresses_become_urls(
    desk: "Desk", hosted: "Hosted", address: str, url: str
) -> None:
    desk.write_config(abbreviations={"team": "https://git.acme.com/acme/{0}.git"})
    here = hosted.folder.parent.as_uri()
    addresses = (
        "https://github.com/acme",
        "https://gitlab.com/acme",
        "https://git.acme.com/acme",
        "git@github.com:acme",
        "https://me:secret@github.com/acme",
    )
    redirects = "".join(f'[url "{here}"]\n\tinsteadOf = {each}\n' for each in addresses)
    desk.write_git_config((desk.base / "gitconfig").read_text() + redirects)
    done = desk.cookiecutter(template=address)
    assert done.returncode == 0, done.stderr
    project = desk.out / "flight-delay"
    assert pin(project) == {"git": url, "rev": hosted.main}
    assert "secret" not in (project / "pyproject.toml").read_text("utf-8")


def test_archive_is_not_pinned_and_says_what_to_do(desk: "Desk") -> None:
    parent, name = desk.template.parent, desk.template.name
    archive = shutil.make_archive(str(desk.base / "template"), "zip", parent, name)
    done = desk.cookiecutter(template=archive)
    assert done.returncode == 0, done.stderr
    assert "mlops-tasks is not pinned" in done.stdout
    assert 'uv add "mlops-tasks @ git+https://' in done.stdout
    assert "sources" not in pyproject(desk.out / "flight-delay")["tool"].get("uv", {})


def test_the_command_that_is_announced_replaces_the_pin(desk: "Desk", hosted: "Hosted") -> None:
    project = desk.make(data_remote="s3://bucket")
    library = f"mlops-tasks @ git+{hosted.url}"
    desk.ok(sys.executable, "-m", "uv", "add", "--frozen", library, "--tag", "v1.0", cwd=project)
    assert pin(project) == {"git": hosted.url, "tag": "v1.0"}
    assert "mlops-tasks[s3,serving,tuning]" in pyproject(project)["project"]["dependencies"]


# ---- data versions


def test_dvc_files_are_the_ones_dvc_writes(desk: "Desk") -> None:
    project = desk.make()
    twin = desk.base / "twin"
    (twin / DATA.parent).mkdir(parents=True)
    shutil.copy(project / DATA, twin / DATA)
    desk.git("init", "-q", cwd=twin)
    desk.dvc("init", "-q", cwd=twin)
    desk.dvc("config", "core.analytics", "false", cwd=twin)
    url = f"{desk.env['MLOPS_HOME']}/dvc"
    desk.dvc("remote", "add", "-d", "storage", url, cwd=twin)
    desk.dvc("add", "-q", DATA, cwd=twin)
    for name in (".dvc/config", ".dvc/.gitignore", f"{DATA}.dvc", "data/.gitignore"):
        assert (project / name).read_bytes() == (twin / name).read_bytes(), name
    cached = [path.relative_to(twin) for path in (twin / ".dvc/cache/files").rglob("*")]
    assert cached == [p.relative_to(project) for p in (project / ".dvc/cache/files").rglob("*")]


def test_data_is_versioned_pushed_and_pulled_by_a_fresh_clone(desk: "Desk") -> None:
    project = desk.make()
    assert desk.dvc("status", cwd=project) == "Data and pipelines are up to date."
    assert desk.dvc("status", "--cloud", cwd=project).endswith("in sync.")
    assert str(DATA) not in desk.git("ls-files", cwd=project).splitlines()
    clone = desk.base / "clone"
    desk.git("clone", "-q", project, clone)
    assert not (clone / DATA).exists()
    desk.dvc("pull", "-q", cwd=clone)
    assert (clone / DATA).read_bytes() == (project / DATA).read_bytes()


def test_two_projects_share_the_default_remote(desk: "Desk") -> None:
    assert desk.cookiecutter(project_slug="one").returncode == 0
    assert desk.cookiecutter(project_slug="two").returncode == 0
    assert stored(Path(desk.env["MLOPS_HOME"])) == (desk.out / "two" / DATA).read_bytes()


def test_remote_that_cannot_be_written_is_told(desk: "Desk") -> None:
    (desk.base / "file").touch()
    done = desk.cookiecutter(data_remote=str(desk.base / "file" / "below"))
    assert done.returncode == 0
    assert "cannot be copied to" in done.stdout
    assert desk.dvc("status", cwd=desk.out / "flight-delay").endswith("up to date.")


# ---- git


def test_without_git_says_so_and_the_project_works(desk: "Desk") -> None:
    path = desk.env["PATH"]
    (desk.base / "empty").mkdir()
    desk.env["PATH"] = str(desk.base / "empty")
    done = desk.cookiecutter()
    assert done.returncode == 0, done.stderr
    assert "git is not installed, so nothing is committed." in done.stdout
    assert done.stdout.splitlines()[-3:] == NEXT_STEPS
    project = desk.out / "flight-delay"
    assert not (project / ".git").exists()
    assert pin(project)["path"] == desk.template.as_posix()
    assert desk.dvc("status", cwd=project).endswith("up to date.")
    # What the sentence says to do once git is there.
    desk.env["PATH"] = path
    config = project / ".dvc" / "config"
    config.write_text(config.read_text().replace("    no_scm = true\n", ""))
    desk.git("init", "-qb", "main", cwd=project)
    assert desk.dvc("status", cwd=project).endswith("up to date.")


def test_without_identity_the_author_commits_and_is_told(desk: "Desk") -> None:
    desk.write_git_config("[user]\n\tuseConfigOnly = true\n")
    done = desk.cookiecutter(author_name="Jane Doe")
    assert "git does not know you: the first commit says Jane Doe" in done.stdout
    author = desk.git("log", "--format=%an <%ae>", cwd=desk.out / "flight-delay")
    assert author == "Jane Doe <flight-delay@localhost>"


def test_own_identity_is_used(desk: "Desk") -> None:
    done = desk.cookiecutter(author_name="Jane Doe")
    assert "git does not know you" not in done.stdout
    project = desk.out / "flight-delay"
    assert desk.git("log", "--format=%an <%ae>", cwd=project) == "Ada Tester <ada@example.com>"


def test_own_git_settings_do_not_spoil_the_first_commit(desk: "Desk") -> None:
    hooks = desk.base / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "commit-msg", "prepare-commit-msg"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (desk.base / "ignored").write_text("*.parquet\n*.yaml\n")
    desk.write_git_config(
        "[user]\n\tname = Ada Tester\n\temail = ada@example.com\n"
        "[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = /no/such/program\n"
        f"[init]\n\ttemplateDir = {hooks.parent}\n\tdefaultBranch = trunk\n"
        f"[core]\n\thooksPath = {hooks}\n\texcludesFile = {desk.base / 'ignored'}\n"
    )
    project = desk.make()
    assert desk.git("symbolic-ref", "--short", "HEAD", cwd=project) == "main"
    files = desk.git("ls-files", cwd=project).splitlines()
    assert "tests/flights.parquet" in files
    assert "conf/config.yaml" in files


def test_project_inside_a_repository_has_its_own(desk: "Desk") -> None:
    desk.git("init", "-q", cwd=desk.out)
    desk.env |= {"GIT_DIR": str(desk.out / ".git"), "GIT_WORK_TREE": str(desk.out)}
    assert desk.cookiecutter().returncode == 0
    del desk.env["GIT_DIR"], desk.env["GIT_WORK_TREE"]
    project = desk.out / "flight-delay"
    top = desk.git("rev-parse", "--show-toplevel", cwd=project)
    assert Path(top).resolve() == project.resolve()
    assert desk.git("rev-list", "--all", "--count", cwd=desk.out) == "0"
    assert desk.git("rev-list", "--count", "HEAD", cwd=project) == "1"


def test_generating_over_a_project_keeps_its_history(desk: "Desk") -> None:
    project = desk.make()
    config = project / ".dvc" / "config"
    config.write_text(config.read_text() + "['remote \"other\"']\n    url = /tmp/other\n")
    desk.git("commit", "-qam", "my own", cwd=project)
    done = desk.cookiecutter("-f", model="tree")
    assert "this folder has commits already, so nothing is committed" in done.stdout
    assert desk.git("rev-list", "--count", "HEAD", cwd=project) == "2"
    assert "other" in config.read_text()
    assert_every_file_parses(project)
    assert pin(project)["path"] == desk.template.as_posix()
    again = desk.cookiecutter("-f", "-s")
    assert again.returncode == 0
    assert_every_file_parses(project)
