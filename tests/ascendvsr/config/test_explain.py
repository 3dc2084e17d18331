"""Settings explained: in the terminal, on docs/settings.md, and for editors."""

import argparse
import json

import jsonschema
import pytest
import yaml

from ascendcv.utils.errors import InputError
from ascendvsr.config.explain import add_options, explain, found, json_schema, markdown
from ascendvsr.config.schema import settings
from tests.support import PROJECT


def printed(capsys, *words: str) -> str:
    parser = argparse.ArgumentParser()
    add_options(parser)
    explain(parser.parse_args(words))
    return capsys.readouterr().out


def test_a_name_tells_its_default_meaning_and_values(capsys):
    assert printed(capsys, "solver.grad_clip_norm") == (
        "solver.grad_clip_norm: 0.0\n    largest norm of the gradient; 0: any\n    a number from 0 to 1e+30\n"
    )


def test_words_are_looked_for_in_names_explanations_and_values():
    assert {"solver.keep_checkpoints", "solver.keep_best"} <= set(found(["keep"]))
    assert list(found(["OneCycle", "MULTISTEP"])) == ["solver.lr_schedule.type"]
    assert set(found(["data.augment"])) == {key for key in settings() if key.startswith("data.augment.")}
    assert found([]) == settings()


def test_what_is_not_found_leads_to_what_is_near():
    with pytest.raises(InputError, match=r"no setting has 'grad_clip_nrm'; near ones are solver.grad_clip_norm"):
        found(["grad_clip_nrm"])


def test_the_page_in_docs_is_that_of_the_schema():
    page = (PROJECT / "docs/settings.md").read_text()
    assert page == markdown(), "write it anew: ascendvsr settings --markdown > docs/settings.md"


def test_every_setting_is_on_the_page():
    page = markdown()
    for key in settings():
        section, _, name = key.rpartition(".")
        heading = f"# {section or 'General'}\n"
        table = page[page.index(heading) :].split("\n#")[0]
        assert f"| `{name}` |" in table


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_editors_accept_the_projects_own_files(path, validator):
    tree = yaml.safe_load(path.read_text())
    for group in (tree.get("solver") or {}).get("param_groups") or []:
        if group.get("freeze_until") == float("inf"):  # as editors read it, which know JSON's numbers only
            group["freeze_until"] = ".inf"
    assert not list(validator.iter_errors(tree))


@pytest.mark.parametrize(
    "tree",
    [
        {"edvr": {"mid_channel": 8}},
        {"edvr": {"mid_channels": 0}},
        {"edvr": {"mid_channels": "many"}},
        {"edvr": {"num_groups": 2}},
        {"device": "tpu"},
        {"data": {"train_in_size": [64]}},
        {"data": {"train_in_size": [0, 64]}},
        {"solver": {"param_groups": [{"lr_mult": 2}]}},
        {"solver": {"final_div_factor": 0}},
        {"solver": {"xla": "maybe"}},
        [],
    ],
)
def test_editors_mark_what_is_refused(tree, validator):
    assert list(validator.iter_errors(tree))


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {"edvr": None},
        {"base": "edvr/edvr_m_x4_sr_reds"},
        {"edvr": {"center_frame_idx": None, "loss_type": "marginal_l1"}},
        {"data": {"hold_out": ["000", 11], "eval_in_size": [-1, -1]}, "init_from": None},
        {"writer_queue_size": -1, "solver": {"loss_scale": False}},
        {"solver": {"param_groups": [{"pattern": "a", "freeze_until": ".inf"}]}},
    ],
)
def test_editors_accept_what_is_allowed(tree, validator):
    assert not list(validator.iter_errors(tree))
