"""Cluster files and TF_CONFIG."""

import json

import pytest

from ascendcv.runner.cluster import Cluster, read_cluster
from ascendcv.utils.errors import InputError

WORKERS = ["node0:2222", "node1:2222"]


def test_a_json_list_is_a_cluster(tmp_path):
    path = tmp_path / "2p.json"
    path.write_text(json.dumps(WORKERS))
    cluster = read_cluster(path, 1, {})
    assert cluster == Cluster(tuple(WORKERS), 1)
    expected = {"cluster": {"worker": WORKERS}, "task": {"type": "worker", "index": 1}}
    assert json.loads(cluster.tf_config) == expected


def test_a_tf_config_that_is_set_is_accepted():
    cluster = Cluster(tuple(WORKERS), 1)
    assert read_cluster("", 0, {"TF_CONFIG": cluster.tf_config}) == cluster


def test_a_file_has_precedence_over_tf_config(tmp_path):
    path = tmp_path / "2p.json"
    path.write_text(json.dumps(WORKERS))
    assert read_cluster(path, 0, {"TF_CONFIG": Cluster(("a:1", "b:1"), 1).tf_config}).workers == tuple(WORKERS)


def test_one_worker_or_none_needs_no_cluster(tmp_path):
    path = tmp_path / "1p.json"
    path.write_text('["localhost:2222"]')
    assert read_cluster(path, 0, {}) is None
    assert read_cluster("", 0, {}) is None


@pytest.mark.parametrize(
    ("text", "index", "message"),
    [
        ("{", 0, "not valid JSON"),
        ('{"a": 1}', 0, 'a JSON list of "host:port"'),
        ("[]", 0, 'a JSON list of "host:port"'),
        ('["node0"]', 0, 'a JSON list of "host:port"'),
        ('["node0:99999", "node1:1"]', 0, 'a JSON list of "host:port"'),
        ('["node0:\u00b2", "node1:1"]', 0, 'a JSON list of "host:port"'),
        (f'["node0:{"9" * 5000}", "node1:1"]', 0, 'a JSON list of "host:port"'),
        ("[" * 100_000, 0, "not valid JSON"),
        ('["node0:1", "node0:1"]', 0, "names an address twice"),
        ('["node0:1", "node1:1"]', 2, "worker_index 2 is not in"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text: str, index: int, message: str):
    path = tmp_path / "cluster.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_cluster(path, index, {})


def test_a_missing_file_and_a_strange_tf_config_are_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read cluster_file .*none\.json"):
        read_cluster(tmp_path / "none.json", 0, {})
    for text in ('{"cluster": {}}', '{"cluster": {"worker": 5}, "task": {"index": 0}}', "[]"):
        with pytest.raises(InputError, match="TF_CONFIG"):
            read_cluster("", 0, {"TF_CONFIG": text})
