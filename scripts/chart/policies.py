"""The chart's own rules for what may be installed: helm/switchboard/policy/*.rego."""

import copy
import pathlib

import regopy
import yaml


class Policies:
    """All rules of a folder."""

    def __init__(self, folder: pathlib.Path):
        self._rules = regopy.Interpreter()
        self._cases = yaml.safe_load((folder / "cases.yaml").read_text())
        for file in sorted(folder.glob("*.rego")):
            wrong = self._rules.add_module(file.name, file.read_text())
            if wrong:
                raise ValueError(f"{file}: {wrong}")

    def refusals(self, manifest: dict) -> list[str]:
        """What the rules say against an object."""
        self._rules.set_input(manifest)
        answer = self._rules.query("data.main.deny")
        if not answer.ok():
            raise ValueError(f"the rules cannot be asked: {answer}")
        (said,) = answer.results[0].expressions
        return sorted(str(message) for message in said)

    def faults_of_the_rules(self) -> list[str]:
        """What `cases.yaml` demands and the rules do not do."""
        cases = self._cases
        pairs = [(faulty(cases["right"], where, value), said) for where, value, said in cases["faults"]]
        pairs += [(manifest, said) for manifest, said in cases["wrong"]]
        faults = [f"not said: {said}" for manifest, said in pairs if said not in self.refusals(manifest)]
        for manifest in [cases["right"], *cases["harmless"]]:
            faults += [f"said of what is right: {said}" for said in self.refusals(manifest)]
        return faults


def faulty(right: dict, where: str, value) -> dict:
    """The pod of `right` with `value` at the dotted place `where`; `None` removes what is there."""
    manifest = copy.deepcopy(right)
    *path, last = (int(part) if part.isdigit() else part for part in where.split("."))
    place = manifest["spec"]["template"]["spec"]
    for part in path:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return manifest
