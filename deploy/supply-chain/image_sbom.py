"""Bill of material of an image, as CycloneDX: ``image_sbom.py IMAGE FILE``.

What is in it is asked of the image itself, in a container without a network: every Python package that lies anywhere on
its file system, the packages of Debian, the interpreter, and the system's name. Equal images give equal bytes.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

# Runs in the image, on nothing but the standard library.
INVENTORY = """
import importlib.metadata, json, os, platform, subprocess
python = []
for folder, below, _ in os.walk("/"):
    below[:] = [name for name in below if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    if not any(name.endswith(".dist-info") for name in below):
        continue
    for found in importlib.metadata.distributions(path=[folder]):
        licence = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
        python.append([found.metadata["Name"], found.version, licence.strip().split("\\n")[0][:100], folder])
query = ["dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\n"]
listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
system = platform.freedesktop_os_release()
print(json.dumps({"python": python, "debian": [line.split("\\t") for line in listed.splitlines()],
    "interpreter": platform.python_version(), "system": system["ID"] + "-" + system["VERSION_ID"]}))
"""


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def components(inventory: Mapping[str, Any]) -> Iterator[Component]:
    """One for each package; a Python package that lies in two places is there twice."""
    for name, version, licence, folder in inventory["python"]:
        url = PackageURL("pypi", None, name.lower().replace("_", "-"), version)
        yield Component(
            name=name,
            version=version,
            purl=url,
            bom_ref=f"{url}#{folder.lstrip('/')}",
            licenses=[DisjunctiveLicense(name=licence)] if licence else [],
            properties=[Property(name="interlock:folder", value=folder)],
        )
    for name, version, architecture, source in inventory["debian"]:
        about = {"arch": architecture, "distro": inventory["system"], "upstream": source}
        url = PackageURL("deb", inventory["system"].partition("-")[0], name, version, about)
        yield Component(name=name, version=version, purl=url, bom_ref=str(url))
    version = inventory["interpreter"]
    url = PackageURL("generic", None, "cpython", version)
    yield Component(type=ComponentType.PLATFORM, name="cpython", version=version, purl=url, bom_ref=str(url))


def bill(image: str) -> str:
    """The document. An image that is not there, or has no Python or dpkg, is a CalledProcessError."""
    (about,) = json.loads(docker("image", "inspect", image))
    inventory = json.loads(
        docker("run", "--rm", "--network", "none", "--entrypoint", "python3", image, "-c", INVENTORY)
    )
    labels = about["Config"]["Labels"]
    root = Component(
        type=ComponentType.CONTAINER,
        name=labels["org.opencontainers.image.title"],
        version=labels["org.opencontainers.image.version"],
        bom_ref=about["Id"],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=about["Id"].removeprefix("sha256:"))],
        properties=[Property(name="interlock:revision", value=labels["org.opencontainers.image.revision"])],
    )
    bom = Bom(components=components(inventory))
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    # The two fields that differ from one writing to the next.
    del written["serialNumber"], written["metadata"]["timestamp"]
    text = json.dumps(written, indent=1, ensure_ascii=False) + "\n"
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise ValueError(f"the bill of {image} is not CycloneDX 1.6: {error}")
    return text


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(bill(sys.argv[1]))
