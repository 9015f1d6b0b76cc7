"""What must hold of the Dockerfile and of the files in deploy/, tried with the tools that read them. Run by scripts/test-deploy."""

import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))
import runner  # noqa: E402 (it is found only now)

COMPOSE = ROOT / "deploy/compose"
TOKEN = "123456789:AAE-secret_of_the_test"
# Nothing takes so long; a check that waits for more has failed.
PATIENCE_S = 60
# shutdown.grace by default, and what the gateway may take beyond it to close.
STOP_S = 20 + 8
# `systemd-analyze security` counts from 0 (nothing exposed) to 10, here times ten.
MAX_EXPOSURE = 15

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=5 * PATIENCE_S, **more)


def lines(file):
    """Settings of an environment file, those that are commented out, too, without what only explains."""
    found = re.findall(r"^(#?)([A-Z_]+)=(.*)$", (COMPOSE / file).read_text(), re.MULTILINE)
    return {name: (bool(commented), value) for commented, name, value in found}


class Deployments:
    """What is there to be checked, and the program that it is all about."""

    def __init__(self, switchboard):
        self.switchboard = switchboard

    def compose(self, profiles="", override=None, **variables):
        """The services as compose runs them, with the example's settings and these, and what an override says."""
        with tempfile.TemporaryDirectory() as directory:
            environment = pathlib.Path(directory) / ".env"
            settings = {name: value for name, (commented, value) in lines(".env.example").items() if not commented}
            settings |= {"COMPOSE_PROFILES": profiles, **variables}
            environment.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
            clean = {"PATH": os.environ["PATH"], "HOME": directory}
            files = [COMPOSE / "docker-compose.yml"]
            if override:
                files.append(pathlib.Path(directory) / "override.yml")
                files[1].write_text(override)
            done = run("compose-config", "--env-file", environment, *files, env=clean)
        assert done.returncode == 0, done.stderr
        assert "not set" not in done.stderr, done.stderr
        return json.loads(done.stdout)

    def accepts(self, environment):
        """Asserts that the gateway takes these settings, with secrets' files of its own; what it says of them."""
        with tempfile.TemporaryDirectory() as directory:
            mine = {**environment, "SWITCHBOARD_DATA_DIR": directory, "SWITCHBOARD_CONFIG": ""}
            for name, secret in (("BOT_TOKEN", TOKEN), ("ACCESS_TOKEN", "access-secret")):
                if f"SWITCHBOARD_{name}_FILE" in mine:
                    file = pathlib.Path(directory) / name
                    file.write_text(secret)
                    mine[f"SWITCHBOARD_{name}_FILE"] = str(file)
            done = run(self.switchboard, "check", "--offline", env=mine, cwd=directory)
        # 3: a port or the disk of this machine, which is not what is asked here.
        assert done.returncode in (0, 3), done.stdout + done.stderr
        return done.stdout


@check
def hadolint_finds_nothing_in_the_dockerfile(deployments):
    done = run("hadolint", "--failure-threshold", "style", ROOT / "Dockerfile")
    assert done.returncode == 0, done.stdout


@check
def compose_runs_the_gateway_alone_and_more_by_profile(deployments):
    for profiles, more in (
        ("", set()),
        ("tls", {"caddy"}),
        ("monitoring", {"prometheus", "grafana"}),
        ("simulator", {"simulator"}),
        ("tls,monitoring,simulator", {"caddy", "prometheus", "grafana", "simulator"}),
    ):
        services = set(deployments.compose(profiles)["services"])
        assert services == {"gateway"} | more, (profiles, services)


@check
def compose_gives_no_container_more_than_it_needs(deployments):
    for name, service in deployments.compose("tls,monitoring,simulator")["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "caddy" else []), name
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"]["max-size"], name
        image, _, tag = service["image"].rpartition(":")
        assert image and re.match(r"v?\d", tag), f"{name}: {service['image']} is not pinned"
        for port in service.get("ports", []):
            public = name == "caddy" and port["published"] in ("80", "443")
            assert public or port.get("host_ip") == "127.0.0.1", (name, port)


@check
def compose_mounts_only_what_is_in_the_repository_or_is_a_volume(deployments):
    project = deployments.compose("tls,monitoring,simulator")
    for name, service in project["services"].items():
        for volume in service.get("volumes", []):
            if volume["type"] == "volume":
                assert volume["source"] in project["volumes"], (name, volume)
            else:
                source = pathlib.Path(volume["source"])
                assert volume["read_only"] and source.exists() and source.is_relative_to(ROOT), (name, volume)
    ignored = run("git", "-C", ROOT, "check-ignore", "deploy/compose/.env", "deploy/compose/secrets/bot-token")
    assert len(ignored.stdout.splitlines()) == 2, "secrets could be committed"


@check
def the_gateways_settings_in_compose_are_its_own_and_hold_no_secret(deployments):
    gateway = deployments.compose()["services"]["gateway"]
    environment = gateway["environment"]
    assert "polling" in deployments.accepts(environment) or "mode = auto" in deployments.accepts(environment)
    for name, value in environment.items():
        assert not re.search("TOKEN|SECRET", name) or name.endswith("_FILE"), name
        assert not value or name.endswith("_LISTEN") or value.startswith("/run/secrets/"), (name, value)
    assert gateway["healthcheck"]["test"][:3] == ["CMD", "/switchboard", "health"]
    assert int(gateway["stop_grace_period"].removesuffix("s")) > STOP_S
    volume = {"source": "journal", "target": "/var/lib/switchboard"}
    assert any(volume.items() <= mounted.items() for mounted in gateway["volumes"]), gateway["volumes"]


@check
def a_public_name_means_webhooks_through_caddy(deployments):
    services = deployments.compose("tls", PUBLIC_HOST="bots.example.com")["services"]
    environment = services["gateway"]["environment"]
    assert environment["SWITCHBOARD_PUBLIC_URL"] == "https://bots.example.com"
    assert services["caddy"]["environment"]["PUBLIC_HOST"] == "bots.example.com"
    said = deployments.accepts(environment)
    assert "Telegram calls https://bots.example.com/telegram/webhook/default" in said, said


@check
def with_the_simulator_telegram_is_the_simulator(deployments):
    services = deployments.compose("simulator", SWITCHBOARD_TELEGRAM_API_URL="http://simulator:8081")["services"]
    assert "telegram.api_url = http://simulator:8081" in deployments.accepts(services["gateway"]["environment"])
    assert services["simulator"]["command"][:3] == ["simulate", "--listen", "0.0.0.0:8081"]
    parsed = run(deployments.switchboard, *services["simulator"]["command"], "--revoke", "x")
    # The one argument too many is all that is wrong with it.
    assert "--revoke" in parsed.stderr and parsed.returncode == 2, parsed.stderr


@check
def the_guides_override_adds_bots_to_the_gateway(deployments):
    (override,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/deploy.md").read_text(), re.DOTALL)
    gateway = deployments.compose(override=override)["services"]["gateway"]
    secrets = {secret["source"] for secret in gateway["secrets"]}
    assert secrets == {"bot-token", "access-token", "shop-token", "support-token"}, secrets
    mounted = {volume["target"]: volume["source"] for volume in gateway["volumes"]}
    assert mounted[gateway["environment"]["SWITCHBOARD_CONFIG"]] == str(COMPOSE / "switchboard.toml"), mounted
    assert "journal" in mounted.values(), mounted


@check
def every_setting_of_the_example_is_one_that_compose_reads(deployments):
    text = (COMPOSE / "docker-compose.yml").read_text()
    read = set(re.findall(r"\$\{([A-Z_]+)", text))
    named = set(lines(".env.example")) - {"COMPOSE_PROFILES"}
    assert named == read, (named - read, read - named)


@check
def caddy_lets_webhooks_in_and_nothing_else(deployments):
    formatted = run("caddy", "fmt", "--diff", COMPOSE / "Caddyfile")
    assert formatted.returncode == 0, formatted.stdout
    # With the host's scheme http Caddy asks nobody for a certificate; all else is as deployed.
    with tempfile.TemporaryDirectory() as home, gateway_on(8080) as came:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "PUBLIC_HOST": "http://localhost:8000"}
        command = ["caddy", "run", "--config", str(COMPOSE / "Caddyfile"), "--adapter", "caddyfile"]
        caddy = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            until(lambda: answer("http://localhost:8000/") is not None)
            assert answer("http://localhost:8000/telegram/webhook/default") == 200
            assert came == ["/telegram/webhook/default"], came
            for path in ("/", "/metrics", "/telegram/", "/switchboard.v1.AdminService/ListBots"):
                assert answer(f"http://localhost:8000{path}") == 404, path
            assert len(came) == 1, came
        finally:
            caddy.terminate()
            caddy.wait(PATIENCE_S)


@check
def prometheus_takes_its_configuration_and_the_alerts(deployments):
    text = (COMPOSE / "prometheus.yml").read_text()
    with tempfile.TemporaryDirectory() as directory:
        there = pathlib.Path(directory)
        for service in [deployments.compose("monitoring")["services"]["prometheus"]]:
            for volume in service["volumes"]:
                if volume["type"] == "bind" and volume["target"] != "/etc/prometheus/prometheus.yml":
                    target = there / volume["target"].lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(pathlib.Path(volume["source"]).read_text())
            assert "65532" in service["group_add"] and service["secrets"][0]["target"].endswith("access-token")
        (there / "run/secrets").mkdir(parents=True)
        (there / "run/secrets/access-token").write_text("access-secret")
        config = there / "prometheus.yml"
        config.write_text(text.replace(": /", f": {there}/").replace("- /", f"- {there}/"))
        done = run("promtool", "check", "config", config)
    assert done.returncode == 0 and "rules found" in done.stdout, done.stdout + done.stderr
    assert "targets: [gateway:9090]" in text


@check
def grafana_finds_the_dashboard_and_its_data_source(deployments):
    import yaml  # of the tools that scripts/test-deploy installs

    def provisioned(kind):
        return yaml.safe_load((COMPOSE / f"grafana/{kind}").read_text())

    mounts = {
        volume["target"]: pathlib.Path(volume["source"])
        for volume in deployments.compose("monitoring")["services"]["grafana"]["volumes"]
        if volume["type"] == "bind"
    }
    (provider,) = provisioned("dashboards/switchboard.yaml")["providers"]
    files = [source for target, source in mounts.items() if target.startswith(provider["options"]["path"] + "/")]
    assert [file.name for file in files] == ["dashboard.json"], mounts
    dashboard = json.loads(files[0].read_text())
    assert dashboard["title"] and dashboard["uid"], "no dashboard"
    (source,) = provisioned("datasources/prometheus.yaml")["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"] and source["url"] == "http://prometheus:9090"
    uids = set(re.findall(r'"uid": *"([^"]*)"', json.dumps([dashboard.get("panels"), dashboard.get("templating")])))
    assert all(uid.startswith("$") or uid == source["uid"] for uid in uids), uids


@check
def systemd_takes_the_unit_and_it_is_exposed_little(deployments):
    text = (ROOT / "deploy/systemd/switchboard.service").read_text()
    with tempfile.TemporaryDirectory() as directory:
        unit = pathlib.Path(directory) / "switchboard.service"
        unit.write_text(text.replace("/usr/local/bin/switchboard", deployments.switchboard))
        done = run("systemd-analyze", "verify", unit)
        assert done.returncode == 0 and not done.stderr, done.stderr
        done = run("systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", unit)
    print("      " + next(line for line in done.stdout.splitlines() if "exposure" in line).strip("→ "))
    assert done.returncode == 0, done.stdout
    environment = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    deployments.accepts(environment)
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[1]) > STOP_S
    # The exit codes after which another start would end in the same way.
    assert re.search(r"^RestartPreventExitStatus=2 4$", text, re.MULTILINE)


@check
def the_units_filter_lets_the_gateway_call_what_it_calls(deployments):
    text = (ROOT / "deploy/systemd/switchboard.service").read_text()
    allowed, families = set(), set()
    for rule in re.findall(r"^SystemCallFilter=(.*)$", text, re.MULTILINE):
        named = {call for name in rule.lstrip("~").split() for call in system_calls(name)}
        allowed = allowed - named if rule.startswith("~") else allowed | named
    for named in re.findall(r"^RestrictAddressFamilies=(.*)$", text, re.MULTILINE):
        families |= set(named.split())
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as ending:
        trace = pathlib.Path(directory) / "trace"
        simulator = subprocess.Popen([deployments.switchboard, "simulate"], stdout=subprocess.DEVNULL)
        ending.callback(simulator.kill)
        environment = {
            "TELEGRAM_BOT_TOKEN": TOKEN,
            "SWITCHBOARD_TELEGRAM_API_URL": "http://localhost:8081",
            "SWITCHBOARD_DATA_DIR": directory,
        }
        command = ["strace", "-f", "-qq", "-o", trace, deployments.switchboard, "serve"]
        gateway = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        ending.callback(gateway.kill)
        until(lambda: answer("http://localhost:9090/readyz") == 200)
        health = [deployments.switchboard, "health", "--reflection", "--simulator", "http://localhost:8081"]
        until(lambda: run(*health, env={}).returncode == 0)
        assert answer("http://localhost:9090/metrics") == 200
        backup = run(deployments.switchboard, "backup", pathlib.Path(directory) / "backup", env={})
        assert backup.returncode == 0, backup.stderr
        # strace itself would not hear it. It is named first, the one that strace has started.
        os.kill(int(trace.read_text().split(maxsplit=1)[0]), signal.SIGTERM)
        assert gateway.wait(PATIENCE_S) == 0
        said = trace.read_text()
    called = set(re.findall(r"^\d+ +(\w+)\(", said, re.MULTILINE))
    print(f"      {len(called)} system calls seen, {len(allowed)} allowed")
    assert len(called) > 30 and not called - allowed, called - allowed
    # Over AF_UNIX glibc only asks for nscd, and goes on without.
    used = set(re.findall(r" socket\((AF_\w+)", said)) - {"AF_UNIX"}
    assert used and not used - families, used - families


@check
def flys_file_is_read_and_its_settings_are_the_gateways(deployments):
    file = ROOT / "deploy/fly/fly.toml"
    fly = tomllib.loads(file.read_text())
    environment = {**fly["env"], "SWITCHBOARD_ACCESS_TOKEN": "access-secret", "TELEGRAM_BOT_TOKEN": TOKEN}
    said = deployments.accepts(environment)
    assert f'Telegram calls {fly["env"]["SWITCHBOARD_PUBLIC_URL"]}/telegram/webhook/default' in said, said
    assert (file.parent / fly["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    assert fly["mounts"]["destination"] == "/var/lib/switchboard"
    assert int(fly["kill_timeout"].removesuffix("s")) > STOP_S and fly["kill_signal"] == "SIGTERM"
    ports = {name: int(value.rpartition(":")[2]) for name, value in fly["env"].items() if name.endswith("_LISTEN")}
    assert fly["http_service"]["internal_port"] == ports["SWITCHBOARD_PUBLIC_LISTEN"]
    assert fly["http_service"]["auto_stop_machines"] == "off"
    assert fly["checks"]["ready"]["port"] == ports["SWITCHBOARD_OPS_LISTEN"]


@check
def railways_file_is_read_and_the_guides_settings_are_the_gateways(deployments):
    railway = json.loads((ROOT / "deploy/railway/railway.json").read_text())
    assert (ROOT / railway["build"]["dockerfilePath"]).exists()
    assert railway["deploy"]["requiredMountPath"] == "/var/lib/switchboard" and railway["deploy"]["numReplicas"] == 1
    assert railway["deploy"]["drainingSeconds"] > STOP_S and railway["deploy"]["overlapSeconds"] == 0
    # A builder of Railway refuses cache mounts without its own ids.
    assert "--mount=type=cache" not in (ROOT / "Dockerfile").read_text()
    guide = (ROOT / "docs/deploy.md").read_text().split("## Railway")[1]
    settings = dict(re.findall(r"^([A-Z_]+)=(\S+)$", guide, re.MULTILINE))
    assert settings.pop("RAILWAY_RUN_UID") == "0"
    ops = settings["SWITCHBOARD_OPS_LISTEN"]
    assert settings["PORT"] == ops.rpartition(":")[2], "Railway asks for health at PORT"
    secrets = {"TELEGRAM_BOT_TOKEN": TOKEN, "SWITCHBOARD_ACCESS_TOKEN": "access-secret"}
    assert set(secrets) <= set(settings)
    said = deployments.accepts({**settings, **secrets, "RAILWAY_PUBLIC_DOMAIN": "bots.up.railway.app"})
    assert "Telegram calls https://bots.up.railway.app/telegram/webhook/default" in said, said
    assert f"ops.listen = {ops}" in said.replace('"', ""), said


def system_calls(name):
    """The system calls of a group of systemd's, `@system-service`, or the one of this name."""
    if not name.startswith("@"):
        return {name}
    listed = run("systemd-analyze", "syscall-filter", name).stdout.splitlines()
    members = [line.strip() for line in listed[1:] if line.startswith("    ") and not line.lstrip().startswith("#")]
    return {call for member in members for call in system_calls(member)}


def answer(url):
    """The status, or nothing where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as got:
            return got.status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return None


def until(condition):
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < PATIENCE_S, "it never came true"
        time.sleep(0.05)


@contextlib.contextmanager
def gateway_on(port):
    """Stands in for the gateway's public listener, and notes what came."""
    came = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            came.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield came
        server.shutdown()


if __name__ == "__main__":
    sys.exit(runner.run(CHECKS, Deployments(*sys.argv[1:])))
