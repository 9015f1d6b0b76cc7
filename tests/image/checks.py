"""What must hold of the image, tried on its contents. Run by scripts/test-image, in namespaces of its own."""

import contextlib
import json
import pathlib
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request

import network
from container import GID, PATIENCE, UID, Container

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import runner  # noqa: E402 (it is found only now)

TOKEN = "123456789:AAE-secret_of_the_test"
ACCESS = "access-secret-of-the-test"
MAX_BYTES = 30 * 1000 * 1000
# shutdown.grace here, and what the gateway may take beyond it to close.
GRACE_S, CLOSE_S = 3, 8
SUBSCRIBE = "switchboard.v1.DeliveryService/Subscribe"
# One update, and the stream then stands still.
HOLDING = '{"group": "orders", "max_outstanding": 1}'

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Image:
    """The image, as an engine gets it."""

    def __init__(self, root, config, packed_bytes):
        """Its unpacked root, the file of its configuration, and how large it is packed."""
        self.root = pathlib.Path(root)
        self.config = json.loads(pathlib.Path(config).read_text())
        self.packed_bytes = int(packed_bytes)
        self.environment = dict(line.split("=", 1) for line in self.config.get("Env") or [])

    def files(self):
        for path in sorted(self.root.rglob("*")):
            yield path, path.lstat()

    @contextlib.contextmanager
    def container(self, roots=None, **environment):
        container = Container(self.root, {**self.environment, **environment}, roots)
        try:
            yield container
        finally:
            container.remove()


@contextlib.contextmanager
def started(container, *args, **environment):
    program = container.start(*args, **environment)
    try:
        yield program
    finally:
        program.kill()


@contextlib.contextmanager
def at_work(image, roots=None, **environment):
    """A simulator and a gateway, each in a container of its own; the gateway with an access token, on all addresses."""
    with image.container() as beside, image.container(roots) as inside:
        settings = {
            "SWITCHBOARD_BOT_TOKEN_FILE": inside.secret("bot-token", TOKEN + "\n"),
            "SWITCHBOARD_ACCESS_TOKEN_FILE": inside.secret("access-token", ACCESS + "\n"),
            "SWITCHBOARD_GRPC_LISTEN": "0.0.0.0:50051",
            "SWITCHBOARD_OPS_LISTEN": "0.0.0.0:9090",
            "SWITCHBOARD_TELEGRAM_API_URL": "http://simulator.test:8081",
            **environment,
        }
        inside.environment |= {name: value for name, value in settings.items() if value}
        names = network.Names("simulator.test", "gateway.test", "api.telegram.org", "collector.test")
        with contextlib.closing(names), started(beside, "simulate", "--listen", "0.0.0.0:8081", "--rate", "5") as telegram:
            telegram.says("http://")
            with started(inside) as gateway:
                gateway.says("listening (ops.listen)")
                gateway.says("listening (grpc.listen)")
                yield inside, gateway, names


def get(path, token=None):
    request = urllib.request.Request(f"http://127.0.0.1:9090{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def grpcurl(*args):
    done = subprocess.run(
        ["grpcurl", "-plaintext", *args], capture_output=True, text=True, timeout=2 * PATIENCE
    )
    return done.returncode, done.stdout + done.stderr


@check
def it_is_smaller_than_30_mb(image):
    unpacked = sum(info.st_size for _, info in image.files() if stat.S_ISREG(info.st_mode))
    print(f"      {unpacked / 1e6:.1f} MB unpacked, {image.packed_bytes / 1e6:.1f} MB packed")
    assert unpacked < MAX_BYTES, unpacked


@check
def its_binary_is_static(image):
    def readelf(what):
        return subprocess.run(
            ["readelf", "-W", what, image.root / "switchboard"], check=True, capture_output=True, text=True
        ).stdout

    headers, dynamic = readelf("--program-headers"), readelf("--dynamic")
    assert "INTERP" not in headers and "interpreter" not in headers, headers
    assert "NEEDED" not in dynamic, dynamic
    assert "There are no" in readelf("--symbols") or ".symtab" not in readelf("--sections"), "symbols are left in it"


@check
def nothing_else_in_it_can_be_executed_or_written_by_everybody(image):
    executables, writable, special = [], [], []
    for path, info in image.files():
        name = "/" + str(path.relative_to(image.root))
        if stat.S_ISREG(info.st_mode):
            with path.open("rb") as file:
                if info.st_mode & 0o111 or file.read(4) in (b"\x7fELF", b"#!/b", b"#!/u"):
                    executables.append(name)
        if info.st_mode & 0o022 and not stat.S_ISLNK(info.st_mode):
            writable.append(name)
        if info.st_mode & 0o6000:
            special.append(name)
    assert executables == ["/switchboard"], executables
    assert writable == ["/tmp"], writable
    assert special == [], special


@check
def its_files_are_roots_but_for_the_data_directory(image):
    owners = {}
    for path, info in image.files():
        owners.setdefault((info.st_uid, info.st_gid), []).append("/" + str(path.relative_to(image.root)))
    assert owners.pop((UID, GID)) == ["/var/lib/switchboard"]
    assert list(owners) == [(0, 0)], owners


@check
def its_configuration_says_user_entrypoint_volume_ports_and_health(image):
    config = image.config
    assert config["User"] == f"{UID}:{GID}"
    assert config["Entrypoint"] == ["/switchboard"] and not config.get("Cmd")
    assert set(config["ExposedPorts"]) == {"50051/tcp", "8080/tcp", "9090/tcp"}
    assert set(config["Volumes"]) == {"/var/lib/switchboard"}
    assert image.environment["SWITCHBOARD_DATA_DIR"] == "/var/lib/switchboard"
    assert config["Healthcheck"]["Test"][:3] == ["CMD", "/switchboard", "health"]
    for label in ("title", "source", "licenses", "version", "revision", "created"):
        assert config["Labels"][f"org.opencontainers.image.{label}"], label


@check
def a_gateway_answers_health_reflection_and_a_whole_round_trip(image):
    with at_work(image) as (inside, gateway, _):
        assert get("/healthz")[0] == 200
        assert get("/metrics")[0] == 401 and get("/metrics", ACCESS)[0] == 200
        code, said = inside.run(*image.config["Healthcheck"]["Test"][2:])
        assert code == 0 and "SERVING" in said, said
        code, said = inside.run("health", "--reflection", "--simulator", "http://simulator.test:8081")
        print("      " + "\n      ".join(said.splitlines()))
        assert code == 0 and "its ack is applied" in said, said
        code, said = inside.run("health", "--reflection", SWITCHBOARD_ACCESS_TOKEN_FILE="")
        assert code == 8, said


@check
def grpcurl_gets_updates_of_a_group(image):
    with at_work(image):
        # Nothing ends the stream but the time.
        authorization = ["-H", f"authorization: Bearer {ACCESS}", "-max-time", "3"]
        code, said = grpcurl(*authorization, "-d", HOLDING, "127.0.0.1:50051", SUBSCRIBE)
        assert '"opened"' in said and '"deliveries"' in said and '"updateId"' in said, f"{code}: {said}"
        code, said = grpcurl("-max-time", "3", "-d", HOLDING, "127.0.0.1:50051", SUBSCRIBE)
        assert code != 0 and "Unauthenticated" in said, said


@check
def sigterm_ends_it_with_code_0_within_the_grace(image):
    with at_work(image, SWITCHBOARD_SHUTDOWN_GRACE=f"{GRACE_S}s") as (inside, gateway, _):
        # Holds an update and settles nothing: the whole grace is waited for it.
        command = ["grpcurl", "-plaintext", "-H", f"authorization: Bearer {ACCESS}", "-d", HOLDING, "127.0.0.1:50051", SUBSCRIBE]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
            assert any('"deliveries"' in line for line in holder.stdout)
            began = time.monotonic()
            code, said = gateway.stop()
            took = time.monotonic() - began
        print(f"      in {took:.1f} s, of them {GRACE_S} s grace")
        assert code == 0, f"{code}: {said}"
        assert GRACE_S <= took < GRACE_S + CLOSE_S, took
        assert "stopped while handlers have updates of this group" in said, said
        # What was not settled comes again, from the same volume.
        with started(inside) as again:
            again.says("listening (grpc.listen)")
            with started(inside, "tail", "--group", "orders", "--json") as tail:
                tail.says('"attempt":2')
            assert again.stop()[0] == 0


@check
def check_finds_nothing_wrong(image):
    with image.container() as beside, image.container(TELEGRAM_BOT_TOKEN=TOKEN) as inside:
        with started(beside, "simulate") as telegram:
            telegram.says("http://")
            code, said = inside.run("check", SWITCHBOARD_TELEGRAM_API_URL="http://127.0.0.1:8081")
            assert code == 0 and "/var/lib/switchboard/default: writable" in said and "BAD" not in said, said


@check
def without_an_access_token_it_does_not_listen_beyond_loopback(image):
    with image.container(TELEGRAM_BOT_TOKEN=TOKEN) as inside:
        code, said = inside.run(SWITCHBOARD_GRPC_LISTEN="0.0.0.0:50051")
        assert code == 2 and "access" in said, said


@check
def the_demo_runs_in_it(image):
    with image.container() as inside:
        code, said = inside.run("demo", "--duration", "3s")
        assert code == 0, said


@check
def names_come_from_etc_hosts_and_from_dns(image):
    with at_work(image) as (inside, gateway, names):
        code, said = inside.run("health", "--simulator", "http://simulator.test:8081")
        assert code == 0 and "simulator.test" in names.asked, said
        for host in ("by-hosts.test", "gateway.test", "localhost"):
            code, said = inside.run("health", "--reflection", "--address", f"http://{host}:50051")
            assert code == 0, said
        assert "gateway.test" in names.asked and "by-hosts.test" not in names.asked, names.asked
        code, said = inside.run("health", "--address", "http://nobody.test:50051")
        assert code == 7 and "failed to lookup address information" in said, said


@check
def telegram_is_reached_by_name_over_tls_with_the_roots_in_the_image(image):
    with image.container() as scratch:
        authority = network.Authority(scratch.directory, "api.telegram.org")
        with contextlib.closing(network.TlsServer(authority, 443, behind=8081)) as server:
            # Telegram as it is by default: https://api.telegram.org.
            with at_work(image, authority.roots, SWITCHBOARD_TELEGRAM_API_URL="") as (inside, gateway, names):
                code, said = inside.run("health", "--simulator", "http://simulator.test:8081")
                assert code == 0, said + gateway.output()
                assert "api.telegram.org" in names.asked and server.beginnings


@check
def a_server_with_another_authoritys_certificate_is_refused_and_told_why(image):
    with image.container() as scratch:
        authority = network.Authority(scratch.directory, "api.telegram.org")
        with contextlib.closing(network.TlsServer(authority, 443, behind=8081)) as server:
            with contextlib.closing(network.Names("api.telegram.org")):
                with image.container(TELEGRAM_BOT_TOKEN=TOKEN) as inside:
                    code, said = inside.run("check")
                    print("      " + next(line.strip() for line in said.splitlines() if "BAD" in line))
                    assert code == 4 and "certificate" in said.lower(), said
                    assert not server.beginnings, "a request was sent to somebody unknown"
                    assert TOKEN.split(":")[1] not in said


@check
def traces_reach_a_collector_by_name_plain_and_over_tls(image):
    with image.container() as scratch:
        authority = network.Authority(scratch.directory, "collector.test")
        with contextlib.closing(network.TlsServer(authority, 4317, protocol="h2")) as collector:
            endpoint = "https://collector.test:4317"
            with at_work(image, authority.roots, SWITCHBOARD_TRACING_OTLP_ENDPOINT=endpoint) as (inside, gateway, names):
                code, said = inside.run("health", "--simulator", "http://simulator.test:8081")
                assert code == 0, said
                assert collector.came.wait(PATIENCE), gateway.output()
                assert "collector.test" in names.asked
        assert collector.beginnings[0].startswith(b"PRI * HTTP/2.0"), collector.beginnings


if __name__ == "__main__":
    sys.exit(runner.run(CHECKS, Image(*sys.argv[1:])))
