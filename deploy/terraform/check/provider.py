"""A stand-in for Terraform's google provider: its arguments, and nothing behind them.

    .venv/terraform/bin/python deploy/terraform/check/provider.py SOCKET TYPE...

Terraform can neither validate nor plan without the provider, and the provider is not to be had everywhere. What it
needs of it for that is the schema, which the package `cdktf-cdktf-provider-google` has in full. So Terraform itself
type-checks and evaluates everything here; values that only Google knows stay unknown, and nothing can be applied.

Protocol 6 of https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol, over a socket that Terraform
is given in TF_REATTACH_PROVIDERS. TYPE is ``google_…`` or ``data.google_…``. Lists and sets are told apart nowhere in
the package; all are lists here.
"""

from __future__ import annotations

import ast
import re
import sys
import sysconfig
from concurrent import futures
from pathlib import Path

import grpc
import msgpack
from tf.gen import tfplugin_pb2 as pb
from tf.gen import tfplugin_pb2_grpc as rpc

PACKAGE = Path(sysconfig.get_path("purelib")) / "cdktf_cdktf_provider_google"
META = {"connection", "count", "depends_on", "for_each", "lifecycle", "provider", "provisioners"}
UNKNOWN = msgpack.ExtType(0, b"\0")
NUMBER_OF_PROJECT = "123456789012"


class Shape:
    """Attributes and blocks of a resource, by name, as the package's source declares them."""

    def __init__(self, folder: str) -> None:
        tree = ast.parse((PACKAGE / folder / "__init__.py").read_text())
        self.classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self.config = next(
            name
            for name, node in self.classes.items()
            if "TerraformMetaArguments" in bases(node) or name == "GoogleProviderConfig"
        )

    def block(self, name: str, computed: bool) -> pb.Schema.Block:
        """The class ``name`` as a block; optional values may be ``computed`` by the provider."""
        init = next(one for one in self.classes[name].body if getattr(one, "name", "") == "__init__")
        made = pb.Schema.Block()
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
            if argument.arg in META:
                continue
            annotation = ast.unparse(argument.annotation)
            label, required = argument.arg.rstrip("_"), default is None
            nested = next((one for one in re.findall(r"\w+", annotation) if one in self.classes), "")
            if nested:
                one = made.block_types.add(type_name=label, nesting=pb.Schema.NestedBlock.LIST)
                one.block.CopyFrom(self.block(nested, False))
                one.min_items = int(required)
                one.max_items = 0 if "Sequence" in annotation else 1
            else:
                made.attributes.add(
                    name=label,
                    type=kind(annotation),
                    required=required,
                    optional=not required,
                    computed=computed and not required,
                )
        return made

    def whole(self) -> pb.Schema:
        """The resource: what one may set, and what Google says of it afterwards."""
        made = self.block(self.config, computed=self.config != "GoogleProviderConfig")
        taken = {one.name for one in made.attributes} | {one.type_name for one in made.block_types}
        main = next((n for n in self.classes.values() if re.search(r"Terraform(Resource|DataSource)", bases(n))), None)
        for one in main.body if main else []:
            if isinstance(one, ast.FunctionDef) and one.returns is not None and is_property(one):
                simple = re.fullmatch(
                    r"builtins\.str|jsii\.Number|typing\.List\[builtins\.str\]", ast.unparse(one.returns)
                )
                if simple and one.name not in taken and not one.name.endswith("_input"):
                    made.attributes.add(name=one.name, type=kind(ast.unparse(one.returns)), computed=True)
        if "id" not in {one.name for one in made.attributes}:
            made.attributes.add(name="id", type=b'"string"', computed=True, optional=True)
        return pb.Schema(version=0, block=made)


def bases(node: ast.ClassDef) -> str:
    return " ".join(ast.unparse(one) for one in node.bases)


def is_property(node: ast.FunctionDef) -> bool:
    return any(ast.unparse(one) in {"builtins.property", "property"} for one in node.decorator_list)


def kind(annotation: str) -> bytes:
    """Terraform's type of a Python annotation."""
    scalar = b'"number"' if "jsii.Number" in annotation else b'"bool"' if "builtins.bool" in annotation else b'"string"'
    if "Mapping" in annotation:
        return b'["map",' + scalar + b"]"
    return b'["list",' + scalar + b"]" if "Sequence" in annotation or "List" in annotation else scalar


class Google(rpc.ProviderServicer):
    """Answers what ``validate`` and ``plan`` ask."""

    def __init__(self, types: list[str]) -> None:
        self.resources = {
            one: Shape(one.removeprefix("google_")).whole() for one in types if not one.startswith("data.")
        }
        data = [one.removeprefix("data.") for one in types if one.startswith("data.")]
        self.data = {one: Shape(f"data_{one}").whole() for one in data}
        self.project = ""
        self.own = pb.Schema(version=0, block=Shape("provider").block("GoogleProviderConfig", False))

    def GetProviderSchema(self, request, context):
        return pb.GetProviderSchema.Response(
            provider=self.own, resource_schemas=self.resources, data_source_schemas=self.data
        )

    def ValidateProviderConfig(self, request, context):
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request, context):
        return pb.ValidateResourceConfig.Response()

    def ValidateDataResourceConfig(self, request, context):
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request, context):
        self.project = msgpack.unpackb(request.config.msgpack)["project"]
        return pb.ConfigureProvider.Response()

    def PlanResourceChange(self, request, context):
        """What is not set is not known before Google has made it."""
        value = msgpack.unpackb(request.proposed_new_state.msgpack)
        for one in self.resources[request.type_name].block.attributes if value is not None else []:
            if one.computed and value[one.name] is None:
                value[one.name] = UNKNOWN
        if request.type_name == "google_service_account" and value is not None:
            value["email"] = f"{value['account_id']}@{self.project}.iam.gserviceaccount.com"  # follows from its name
        return pb.PlanResourceChange.Response(planned_state=pb.DynamicValue(msgpack=msgpack.packb(value)))

    def ReadDataSource(self, request, context):
        value = msgpack.unpackb(request.config.msgpack) | {"number": NUMBER_OF_PROJECT}
        return pb.ReadDataSource.Response(state=pb.DynamicValue(msgpack=msgpack.packb(value)))

    def StopProvider(self, request, context):
        return pb.StopProvider.Response()


def main(socket: str, types: list[str]) -> None:
    """Serve until standard input closes."""
    server = grpc.server(futures.ThreadPoolExecutor(4))
    rpc.add_ProviderServicer_to_server(Google(types), server)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(grace=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
