"""Cluster files and TF_CONFIG."""

import json
import os
import subprocess
import sys

import pytest

from ascendcv.runner.cluster import Cluster, expand_hosts, read_cluster
from ascendcv.runner.rendezvous import meet
from ascendcv.utils.errors import InputError
from tests.ascendcv.runner.test_distribution import free_ports

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


def test_a_chief_of_a_tf_config_is_the_first_worker():
    cluster = {"chief": ["chief:2222"], "worker": ["worker0:2222", "worker1:2222"]}
    found = [
        read_cluster("", 0, {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})})
        for kind, index in (("chief", 0), ("worker", 0), ("worker", 1))
    ]
    assert {one.workers for one in found} == {("chief:2222", "worker0:2222", "worker1:2222")}
    assert [one.index for one in found] == [0, 1, 2]


def test_roles_that_do_not_train_are_refused():
    for kind in ("ps", "evaluator"):
        config = {"cluster": {"worker": WORKERS, kind: ["a:1"]}, "task": {"type": kind, "index": 0}}
        with pytest.raises(InputError, match=f"makes this process a {kind}"):
            read_cluster("", 0, {"TF_CONFIG": json.dumps(config)})


SLURM = {"SLURM_STEP_NODELIST": "node[9-11]", "SLURM_STEP_TASKS_PER_NODE": "2(x2),1", "SLURM_JOB_ID": "4711"}


def test_the_tasks_of_a_slurm_step_are_a_cluster_in_the_order_of_its_hosts():
    task = SLURM | {"SLURM_PROCID": "3", "SLURM_LOCALID": "1", "SLURMD_NODENAME": "node10"}
    cluster = read_cluster("", 0, task)
    hosts = [worker.partition(":")[0] for worker in cluster.workers]
    ports = [int(worker.partition(":")[2]) for worker in cluster.workers]
    assert hosts == ["node9", "node9", "node10", "node10", "node11"]
    assert (cluster.index, cluster.local) == (3, 1)
    assert ports[0] + 1 == ports[1] != ports[0]
    assert len(set(cluster.workers)) == 5
    assert all(1024 < port < 32768 for port in ports)
    elsewhere = read_cluster("", 0, task | {"SLURM_JOB_ID": "4712"})
    assert not set(cluster.workers) & set(elsewhere.workers), "two jobs on one host would share ports"
    one_task = task | {"SLURM_STEP_NODELIST": "node9", "SLURM_STEP_TASKS_PER_NODE": "1", "SLURM_PROCID": "0"}
    assert read_cluster("", 0, one_task | {"SLURMD_NODENAME": "node9"}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_PROCID": "x"}, "SLURM_PROCID is 'x'"),
        ({"SLURM_STEP_NODELIST": "node[1-"}, "no list of hosts"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2*3"}, "not as Slurm writes it"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2"}, "3 hosts, and of tasks on 1"),
        ({"SLURMD_NODENAME": "node11"}, "srun --distribution=block"),
        ({"SLURM_PROCID": "9"}, "which has 5 workers"),
    ],
)
def test_a_slurm_step_that_makes_no_sense_is_said(changes: dict, message: str):
    with pytest.raises(InputError, match=message):
        read_cluster("", 0, SLURM | {"SLURM_PROCID": "3"} | changes)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("node1", ["node1"]),
        ("node[1-3]", ["node1", "node2", "node3"]),
        ("node[08-10],login", ["node08", "node09", "node10", "login"]),
        ("rack[0-1]node[1,3]-ib", ["rack0node1-ib", "rack0node3-ib", "rack1node1-ib", "rack1node3-ib"]),
    ],
)
def test_lists_of_hosts_are_read_as_slurm_writes_them(text: str, hosts: list[str]):
    assert expand_hosts(text) == hosts


def ranks(count: int, port: int) -> dict[str, list[dict[str, str]]]:
    """By what starts them: the variables of each of `count` processes on this host."""
    own = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torchrun = {"WORLD_SIZE": str(count), "TORCHELASTIC_RUN_ID": "none"} | own
    mpi = {"OMPI_COMM_WORLD_SIZE": str(count), "OMPI_COMM_WORLD_LOCAL_SIZE": str(count), "MASTER_PORT": str(port)}
    pmi = {"PMI_SIZE": str(count)} | own
    return {
        "torchrun": [torchrun | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(count)],
        "Open MPI": [
            mpi | {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_LOCAL_RANK": str(rank)}
            for rank in range(count)
        ],
        "MPICH": [pmi | {"PMI_RANK": str(rank), "MPI_LOCALRANKID": str(rank)} for rank in range(count)],
    }


@pytest.mark.parametrize("starter", ["torchrun", "Open MPI", "MPICH"])
def test_processes_that_know_their_ranks_find_each_other(starter: str):
    port = free_ports(1)[0]
    code = (
        "from ascendcv.runner.cluster import read_cluster as r; c = r('', 0); print(c.index, c.local, *c.workers)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | variables
        )
        for variables in ranks(3, port)[starter]
    ]
    found = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [words[:2] for words in found] == [[str(rank), str(rank)] for rank in range(3)]
    (workers,) = {tuple(words[2:]) for words in found}
    assert len(set(workers)) == 3
    assert all(worker.startswith("127.0.0.1:") for worker in workers)


def test_ranks_that_never_come_are_named():
    port = free_ports(1)[0]
    with pytest.raises(InputError, match=rf"of 3 processes .* have not come to 127\.0\.0\.1:{port}: 1, 2"):
        meet(0, 3, "127.0.0.1", port, timeout=0.5)
    with pytest.raises(InputError, match="rank 1 cannot meet rank 0"):
        meet(1, 3, "127.0.0.1", port, timeout=0.5)


def test_mpi_on_several_hosts_has_to_say_where_rank_0_is():
    variables = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_LOCAL_SIZE": "2"}
    with pytest.raises(InputError, match="mpirun -x MASTER_ADDR=node0"):
        read_cluster("", 0, variables)


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
