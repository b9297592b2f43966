"""What the project depends on: licences, and known vulnerabilities where the service that knows them can be asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement

PROJECT = "gdjax"
EXTRAS = ("bench", "test", "dev", "examples")
AUDIT = ("pip_audit", "--local", "--skip-editable", "--progress-spinner", "off", "--format", "json")
AUDIT_TIMEOUT_S = 120


def main() -> int:
    """Print the licence list and the audit; exit code 1 only where a vulnerability is known."""
    for name, version, licence in licences():
        print(f"{name:<28} {version:<22} {licence}")
    return audit()


def licences() -> list[tuple[str, str, str]]:
    """Name, version and licence of every package that the project and its extras need here."""
    waiting: list[tuple[str, set[str]]] = [(PROJECT, {*EXTRAS, ""})]
    found: dict[str, Distribution] = {}
    done: dict[str, set[str]] = {}
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        new = extras - done.setdefault(key, set())
        done[key] |= new
        with suppress(PackageNotFoundError):  # for another system or another Python
            found[key] = distribution(name)
            needs = [Requirement(text) for text in found[key].requires or []] if new else []
            waiting += [(need.name, {*need.extras, ""}) for need in needs
                        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in new)]
    del found[PROJECT]
    return sorted((package.name, package.version, _licence(package)) for package in found.values())


def audit() -> int:
    """Ask pip-audit about this environment; being offline is told and fails nothing."""
    try:
        done = subprocess.run([sys.executable, "-m", *AUDIT], capture_output=True, text=True, timeout=AUDIT_TIMEOUT_S,
                              check=False)
        packages = json.loads(done.stdout)["dependencies"]
    except subprocess.TimeoutExpired:
        print(f"audit: skipped, the vulnerability service did not answer in {AUDIT_TIMEOUT_S} s.")
        return 0
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
        print(f"audit: skipped, the vulnerability service can't be asked here ({last}).")
        return 0
    asked = [each for each in packages if "skip_reason" not in each]
    known = [f"{each['name']} {each['version']}: {hole['id']}, mended in: {', '.join(hole['fix_versions'])}"
             for each in asked for hole in each["vulns"]]
    verdict = "\n".join(known) or "audit: no known vulnerability" if asked else "audit: skipped"
    print(f"{verdict} ({len(asked)} of {len(packages)} packages could be looked up).")
    return 1 if known else 0


def _licence(package: Distribution) -> str:
    said = package.metadata.get("License-Expression") or package.metadata.get("License") or ""
    first = said.strip().split("\n")[0]  # some packages put the whole text there
    classes = [text.rpartition(" :: ")[2] for text in package.metadata.get_all("Classifier") or []
               if text.startswith("License ::")]
    return first if 0 < len(first) <= 60 else ", ".join(classes) or first[:60] or "not said"



if __name__ == "__main__":
    sys.exit(main())
