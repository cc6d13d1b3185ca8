"""A compiled pipeline as a flat graph: groups fold away, edges stay."""

from interlock.console.dag import artifact_kinds, graph, ranks


def task(component, *, after=(), inputs=None, title=""):
    return {
        "componentRef": {"name": component},
        "dependentTasks": list(after),
        "inputs": inputs or {},
        "taskInfo": {"name": title},
    }


def leaf(**artifacts):
    outputs = {name: {"artifactType": {"schemaTitle": kind}} for name, kind in artifacts.items()}
    return {"executorLabel": "x", "outputDefinitions": {"artifacts": outputs}}


def spec(tasks, **components):
    return {"root": {"dag": {"tasks": tasks}}, "components": {"leaf": leaf(), **components}}


def after(nodes):
    return {node.name: node.after for node in nodes}


def test_data_and_order_both_make_edges():
    from_a = {"artifacts": {"i": {"taskOutputArtifact": {"producerTask": "a"}}}}
    found = graph(spec({"b": task("leaf", inputs=from_a, title="b for people"), "a": task("leaf")}))
    assert after(found) == {"a": (), "b": ("a",)}
    assert [node.title for node in found] == ["a", "b for people"]


def test_an_edge_that_a_longer_way_says_is_left_out():
    found = graph(spec({"a": task("leaf"), "b": task("leaf", after=["a"]), "c": task("leaf", after=["a", "b"])}))
    assert after(found)["c"] == ("b",)
    assert ranks(found) == {"a": 0, "b": 1, "c": 2}


def test_groups_fold_away_and_keep_what_they_wait_for():
    group = {"dag": {"tasks": {"in": task("leaf"), "out": task("leaf", after=["in"])}}}
    found = graph(
        spec({"if": task("group", after=["a"]), "a": task("leaf"), "z": task("leaf", after=["if"])}, group=group)
    )
    assert after(found) == {"a": (), "in": ("a",), "out": ("in",), "z": ("out",)}


def test_an_exit_task_comes_after_every_end_of_its_block():
    status = {"parameters": {"status": {"taskFinalStatus": {"producerTask": "block"}}}}
    block = {"dag": {"tasks": {"one": task("leaf"), "two": task("leaf")}}}
    found = graph(spec({"exit": task("leaf", inputs=status), "block": task("group")}, group=block))
    assert sorted(after(found)["exit"]) == ["one", "two"]


def test_kinds_of_artifacts_are_found_in_groups_too():
    group = {"dag": {"tasks": {"t": task("page")}}}
    assert artifact_kinds(spec({"if": task("group")}, group=group, page=leaf(report="system.HTML"))) == {
        ("t", "report"): "system.HTML"
    }


def test_nothing_is_no_graph():
    assert graph({}) == []
