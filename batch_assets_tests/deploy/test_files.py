"""The files of `deploy/` say nothing that is not so: names, paths, settings, programs."""

import configparser
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from typer.main import get_group

from batch_assets.cli.app import app
from batch_assets.project_files import PROJECT_DIR
from batch_assets.settings import setting_names
from batch_assets_tests.deploy.files import (
    DEPLOY,
    compose,
    example_settings,
    helm_values,
    instructions,
    units,
)

PROJECT = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PARTS = ("migrate", "code-server", "daemon", "webserver")


def test_each_variable_of_the_example_environment_is_a_setting() -> None:
    text = (DEPLOY / "example.env").read_text(encoding="utf-8")
    written = example_settings(text)
    assert {"DATABASE_URL", "OPENAI_API_KEY", "BATCH_UI_URL"} <= written.keys()
    assert written.keys() <= set(setting_names())


def test_what_the_container_is_made_of_is_there() -> None:
    copied = [
        source
        for line in instructions("COPY")
        if "--from=" not in line
        for source in [word for word in line.split() if not word.startswith("--")][:-1]
    ]
    assert {"requirements.txt", "batch_assets", "migrations", "dagster.yaml"} <= set(copied)
    assert [source for source in copied if not (PROJECT_DIR / source).exists()] == []
    versions = {re.search(r"python:([\d.]+)", line) for line in instructions("FROM")}
    assert all(found and f"<3.{int(found[1].split('.')[1]) + 1}" for found in versions)


@pytest.mark.parametrize(
    ("typed", "put_before"),
    [
        # What compose and the documents type, what the chart does, and what launchers of runs do.
        (["migrate", "--grant-to", "a role"], "batch-assets"),
        (["dagster", "api", "grpc", "-h", "0.0.0.0"], ""),
        (["dagster", "api", "execute_run", '{"a": "$b c"}'], ""),
    ],
)
def test_the_image_takes_commands_of_ours_and_whole_ones_of_dagsters(
    typed: list[str], put_before: str, tmp_path: Path
) -> None:
    for name in ("dagster", *PROJECT["scripts"]):
        stub = tmp_path / name
        stub.write_text('#!/bin/sh\nprintf "%s\\n" "${0##*/}" "$@"\n')
        stub.chmod(0o755)
    (entry,) = instructions("ENTRYPOINT")
    ended = subprocess.run(
        [*yaml.safe_load(entry), *typed],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == [*([put_before] if put_before else []), *typed]


def test_the_parts_of_compose_are_commands_and_only_the_proxy_is_open() -> None:
    services = compose()["services"]
    commands = set(get_group(app).commands)
    assert {services[part]["command"][0] for part in PARTS} == set(PARTS) <= commands
    assert [name for name, one in services.items() if "ports" in one] == ["proxy"]
    assert services["proxy"]["networks"] == ["people"]
    assert [name for name, one in services.items() if "people" in one["networks"]] == [
        "webserver",
        "proxy",
    ]


def test_what_compose_names_is_there() -> None:
    document = compose()
    services = document["services"]
    for name, one in services.items():
        assert set(one.get("depends_on", ())) <= services.keys(), name
        for kind in ("configs", "secrets"):
            used = {use if isinstance(use, str) else use["source"] for use in one.get(kind, ())}
            assert used <= document[kind].keys(), name
    assert [
        config["file"]
        for config in document["configs"].values()
        if not (DEPLOY / config["file"]).is_file()
    ] == []
    assert (PROJECT_DIR / services["daemon"]["build"]["dockerfile"]).is_file()
    workspace = yaml.safe_load((DEPLOY / "code_server.yaml").read_text(encoding="utf-8"))
    (server,) = (one["grpc_server"] for one in workspace["load_from"])
    assert server["host"] in services
    assert str(server["port"]) in services[server["host"]]["command"]


def test_each_host_that_runs_has_a_code_location_of_its_own() -> None:
    text = (DEPLOY / "code_servers.yaml").read_text(encoding="utf-8")
    servers = [one["grpc_server"] for one in yaml.safe_load(text)["load_from"]]
    document = (PROJECT_DIR / "docs" / "engines.md").read_text(encoding="utf-8")
    for key in ("host", "location_name"):
        assert len({server[key] for server in servers}) == len(servers) > 1
    for server in servers:
        (typed,) = [
            line for line in document.splitlines() if f"# {server['location_name']}" in line
        ]
        assert f"batch-assets code-server --host 10.0.0.1{server['host'][7]} --port 4000" in typed
        assert server["port"] == 4000


def test_pods_of_runs_fit_the_chart_values_that_they_go_on_top_of() -> None:
    (ours,) = helm_values()["dagster-user-deployments"]["deployments"]
    text = (DEPLOY / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    (theirs,) = yaml.safe_load(text)["dagster-user-deployments"]["deployments"]
    # A list of values replaces the one before it whole.
    more = {"volumes", "volumeMounts", "resources"}
    assert {key: value for key, value in theirs.items() if key not in more} == {
        key: value for key, value in ours.items() if key not in more
    }
    instance = yaml.safe_load((DEPLOY / "kubernetes" / "dagster.yaml").read_text(encoding="utf-8"))
    launcher = instance["run_launcher"]["config"]
    image = ours["image"]
    assert launcher["job_image"] == f"{image['repository']}:{image['tag']}"
    assert {"name": "DAGSTER_HOME", "value": launcher["dagster_home"]} in ours["env"]
    (volume,), (mount,) = theirs["volumes"], theirs["volumeMounts"]
    assert volume["configMap"]["name"] == launcher["instance_config_map"]
    assert mount["mountPath"] == f"{launcher['dagster_home']}/dagster.yaml"
    assert [{"name": name} for name in launcher["env_secrets"]] == ours["envSecrets"]


@pytest.mark.parametrize("engine", ["kubernetes", "docker"])
def test_another_launcher_is_all_that_its_instance_has_of_its_own(engine: str) -> None:
    ours = yaml.safe_load((PROJECT_DIR / "dagster.yaml").read_text(encoding="utf-8"))
    theirs = yaml.safe_load((DEPLOY / engine / "dagster.yaml").read_text(encoding="utf-8"))
    assert theirs.pop("run_launcher")["class"] != ours.pop("run_launcher")["class"]
    assert theirs == ours


def test_the_chart_is_given_one_image_one_home_and_the_name_of_the_code_location() -> None:
    values = helm_values()
    (deployed,) = values["dagster-user-deployments"]["deployments"]
    pods = [deployed, values["dagsterWebserver"], values["dagsterDaemon"]]
    assert len({one["image"]["repository"] for one in pods}) == 1
    homes = [variable["value"] for one in pods for variable in one["env"]]
    (environment,) = instructions("ENV")
    assert {f"DAGSTER_HOME={home}" for home in homes} <= set(shlex.split(environment))
    (server,) = values["dagsterWebserver"]["workspace"]["servers"]
    assert (server["host"], server["port"]) == (deployed["name"], deployed["port"])
    own = yaml.safe_load((PROJECT_DIR / "workspace.yaml").read_text(encoding="utf-8"))
    (module,) = (one["python_module"] for one in own["load_from"])
    assert server["name"] == module["location_name"]
    assert deployed["dagsterApiGrpcArgs"] == ["--module-name", module["module_name"]]


@pytest.mark.parametrize("unit", units(), ids=lambda unit: unit.stem)
def test_a_unit_starts_a_command_and_is_understood(unit: Path, tmp_path: Path) -> None:
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment, method-assign] # as configparser's docs have it
    read.read(unit)
    program, command = shlex.split(read["Service"]["ExecStart"])
    assert command in get_group(app).commands
    assert program == f"{read['Service']['WorkingDirectory']}/.venv/bin/batch-assets"
    assert read["Service"]["Restart"] == "always"
    verifier = shutil.which("systemd-analyze")
    if verifier is not None:
        copy = tmp_path / unit.name
        copy.write_text(unit.read_text(encoding="utf-8").replace(program, "/bin/true"))
        ended = subprocess.run(
            [verifier, "verify", str(copy)], capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stderr) == (0, "")


def test_the_proxy_of_compose_is_given_the_uis_name(tmp_path: Path) -> None:
    proxy = compose()["services"]["proxy"]
    shell, option, script = proxy["command"]
    makes, _, starts = script.replace("$$", "$").partition(" && ")
    assert starts.strip() == "exec nginx -g 'daemon off;'"
    assert "/etc/nginx/batch-assets.conf" in {one["target"] for one in proxy["configs"]}
    (tmp_path / "conf.d").mkdir()
    shutil.copy(DEPLOY / "nginx" / "batch-assets.conf", tmp_path)
    subprocess.run(
        [shell, option, makes.replace("/etc/nginx", str(tmp_path))],
        env={"BATCH_UI_URL": "https://ui.example.org", "PATH": "/usr/bin:/bin"},
        check=True,
    )
    made = (tmp_path / "conf.d" / "default.conf").read_text(encoding="utf-8")
    assert "    server_name ui.example.org;" in made.splitlines()
    assert "        proxy_pass http://webserver:3000;" in made.splitlines()
    assert "dagster.example.com" not in made
