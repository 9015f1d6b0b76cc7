"""Tests the chart with Helm 3 and Helm 4; called by scripts/test-chart. The last line counts: `N passed, N failed`."""

import base64
import concurrent.futures
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

from policies import Policies
from schemas import Schemas, versions

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm/switchboard"
RELEASE = ["release", str(CHART), "--namespace", "space"]
HELMS = ("helm3", "helm4")
OLDEST = "1.27"


class Results:
    """Counts, and prints what failed."""

    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name: str, faults: list[str]):
        """One check and what is wrong, nothing if it passed."""
        if not faults:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED {name}")
        for fault in faults[:20]:
            print("   ", fault.replace("\n", "\n    "))

    def step(self, name: str):
        """Says how far the run is."""
        print(f"==> {name} (so far {self.passed} passed, {self.failed} failed)", flush=True)


def run(*command: str) -> subprocess.CompletedProcess:
    """A command's exit code and all that it prints."""
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)


def template(helm: str, version: str, file: pathlib.Path, *more: str) -> subprocess.CompletedProcess:
    """The chart rendered with a value file."""
    command = [helm, "template", *RELEASE, "--kube-version", f"{version}.0", "--values", str(file), *more]
    return subprocess.run(command, capture_output=True, text=True)


def objects(text: str) -> list[dict]:
    """The objects of a YAML stream."""
    return [document for document in yaml.load_all(text, yaml.CSafeLoader) if document]


def schemas_refuse(results: Results, schemas: Schemas):
    """The schemas refuse what is wrong, in the oldest and in the newest version."""
    for manifest, reason in yaml.safe_load((ROOT / "scripts/chart/wrong_objects.yaml").read_text()):
        for version in (versions(OLDEST)[0], versions(OLDEST)[-1]):
            said = list(schemas.faults(manifest, version))
            faults = [] if any(reason in fault for fault in said) else [f"expected: {reason}", f"got: {said}"]
            results.add(f"a wrong {manifest['kind']} for Kubernetes {version}", faults)


def access_token(results: Results):
    """One rendering makes one access token: the pod's checksum is that of the Secret. The next one makes another."""
    secrets = set()
    for helm in HELMS:
        for _ in range(2):
            made = objects(template(helm, versions(OLDEST)[-1], CHART / "ci/minimal.yaml").stdout)
            token = [base64.b64decode(one["data"]["token"]) for one in made if one["kind"] == "Secret"]
            pods = [one["spec"]["template"]["metadata"] for one in made if one["kind"] == "StatefulSet"]
            sums = [pod["annotations"]["checksum/access-token"] for pod in pods]
            right = sums == [hashlib.sha256(one).hexdigest() for one in token] and len(token) == 1
            results.add(f"{helm} makes one access token", [] if right else [f"{sums} is not of {token}"])
            secrets.update(token)
    results.add("each rendering has its own access token", [] if len(secrets) == 4 else [str(secrets)])


def lint(results: Results, pool, files: list[pathlib.Path]):
    """`helm lint --strict` for every value file."""
    def one(case):
        helm, file = case
        got = run(helm, "lint", "--strict", "--quiet", str(CHART), "--values", str(file))
        return f"{helm} lint {file.name}", [got.stdout] if got.returncode else []

    for name, faults in pool.map(one, [(helm, file) for helm in HELMS for file in files]):
        results.add(name, faults)


def rendered(results: Results, pool, files: list[pathlib.Path], schemas: Schemas, policies: Policies):
    """Every value file for every version: it renders, the schemas accept it, the policies too, and both Helms agree."""
    cases = [(file, version, helm) for file in files for version in versions(OLDEST) for helm in HELMS]
    known: dict[tuple[str, str], list[str]] = {}
    texts: dict[tuple[pathlib.Path, str], str] = {}

    def faults_of(manifest: dict, version: str) -> list[str]:
        key = (version, yaml.dump(manifest, Dumper=yaml.CSafeDumper))
        if key not in known:
            # An operator's object in an example: there is no schema of it, and it runs nothing.
            foreign = manifest["apiVersion"].startswith("external-secrets.io/")
            known[key] = [] if foreign else [*schemas.faults(manifest, version), *policies.refusals(manifest)]
        return known[key]

    for (file, version, helm), got in zip(cases, pool.map(lambda case: template(case[2], case[1], case[0]), cases)):
        name = f"{helm} template {file.name} for Kubernetes {version}"
        if got.returncode:
            results.add(name, [got.stderr])
            continue
        faults = [fault for manifest in objects(got.stdout) for fault in faults_of(manifest, version)]
        text = without_chance(got.stdout)
        if texts.setdefault((file, version), text) != text:
            faults.append("Helm 3 and Helm 4 render it differently")
        results.add(name, faults)


def without_chance(text: str) -> str:
    """A rendering without the generated access token, in an order that does not depend on Helm."""
    text = re.sub(r"(\n  token: |checksum/access-token: )\S+", r"\1…", text)
    return "\n---\n".join(sorted(part.strip() for part in re.split(r"^---$", text, flags=re.M)))


def refused(results: Results, pool, files: list[pathlib.Path]):
    """Every file of ci/refused is refused, and for the reason that it names; where it says so, by the templates alone too."""
    cases = []
    for file in files:
        for line in file.read_text().splitlines():
            if not line.startswith("# "):
                break
            alone = line.startswith("# without the schema: ")
            reason = line.removeprefix("# without the schema: ") if alone else line.removeprefix("# ")
            cases += [(file, helm, reason, ["--skip-schema-validation"] if alone else []) for helm in HELMS]

    def one(case):
        file, helm, reason, more = case
        got = template(helm, versions(OLDEST)[-1], file, *more)
        if got.returncode == 0:
            faults = ["it is accepted"]
        else:
            faults = [] if reason in got.stderr else [f"expected: {reason}", f"got: {got.stderr}"]
        return " ".join([helm, "refuses", file.name, *more]), faults

    for name, faults in pool.map(one, cases):
        results.add(name, faults)


def unit_tests(results: Results):
    """The suites in tests/."""
    got = run("helm-unittest", "--strict", str(CHART))
    counted = re.search(r"^Tests:\s+(?:(\d+) failed, )?(?:\d+ errored, )?(\d+) passed", got.stdout, re.M)
    if got.returncode or not counted:
        results.add("helm-unittest", [got.stdout])
    else:
        results.passed += int(counted[2])


def documentation(results: Results):
    """The chart's README is what helm-docs makes of the values."""
    with tempfile.TemporaryDirectory() as folder:
        run("cp", "-R", str(CHART), folder)
        got = run("helm-docs", "--chart-search-root", folder, "--sort-values-order", "file", "--log-level", "warning")
        made = pathlib.Path(folder, "switchboard/README.md").read_text()
    stale = made != (CHART / "README.md").read_text()
    faults = ["it is not up to date: run scripts/render-chart-docs"] if stale else []
    results.add("README.md of the chart", faults + ([got.stdout] if got.returncode else []))


def plain_manifests(results: Results, schemas: Schemas, policies: Policies):
    """deploy/kubernetes is what the chart renders, and right."""
    with tempfile.TemporaryDirectory() as folder:
        got = run("scripts/render-manifests", folder)
        faults = [got.stdout] if got.returncode else []
        made = sorted(pathlib.Path(folder).iterdir())
        if not made:
            faults.append("nothing is rendered")
        for file in made:
            there = ROOT / "deploy/kubernetes" / file.name
            if not there.exists() or there.read_text() != file.read_text():
                faults.append(f"{file.name} is not up to date: run scripts/render-manifests")
    results.add("deploy/kubernetes is up to date", faults)
    for file in sorted((ROOT / "deploy/kubernetes").glob("*.yaml")):
        for version in versions(OLDEST):
            faults = []
            for manifest in objects(file.read_text()):
                faults += [*schemas.faults(manifest, version), *policies.refusals(manifest)]
            results.add(f"{file.name} for Kubernetes {version}", faults)


def main() -> int:
    crds = pathlib.Path(sys.argv[1])
    results, schemas, policies = Results(), Schemas(crds), Policies(CHART / "policy")
    files, wrong = sorted(CHART.glob("ci/*.yaml")), sorted(CHART.glob("ci/refused/*.yaml"))
    if len(files) < 12 or not wrong:
        raise SystemExit("helm/switchboard/ci has too few value files: is this the whole repository?")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results.step("the schemas and the policies refuse what they are for")
        schemas_refuse(results, schemas)
        results.add("policies", policies.faults_of_the_rules())
        results.step("unit tests")
        unit_tests(results)
        results.step("lint")
        lint(results, pool, files)
        results.step("value files that must be refused")
        refused(results, pool, wrong)
        results.step(f"value files for Kubernetes {', '.join(versions(OLDEST))}")
        rendered(results, pool, files, schemas, policies)
    results.step("the access token, documentation and plain manifests")
    access_token(results)
    documentation(results)
    plain_manifests(results, schemas, policies)
    print(f"{results.passed} passed, {results.failed} failed")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
