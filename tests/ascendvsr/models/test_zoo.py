"""Records of published weights: each names what exists here, and the tables of the documents are made of them."""

import re

import pytest

from ascendcv.utils.errors import InputError
from ascendvsr.config.files import own_names
from ascendvsr.evaluation.protocols import PROTOCOLS
from ascendvsr.evaluation.testsets import TEST_SETS, set_named
from ascendvsr.models import tables
from ascendvsr.models.zoo import Address, Package, Page, Result, Shipped, record_named, records
from ascendvsr.weights.cache import SHIPPED, place_of, sha256_of
from tests.support import PROJECT

of_each_record = pytest.mark.parametrize("record", records(), ids=lambda record: record.name)


def test_names_and_files_mean_one_record():
    assert len({record.name for record in records()}) == len(records())
    assert len({record.file for record in records()}) == len(records())
    assert {"edvr_m_x4_reds", "rvrt_001_reds", "pvdnet_dvd", "basicvsr_x4_reds"} <= {r.name for r in records()}


@of_each_record
def test_a_record_names_what_exists(record):
    assert re.fullmatch(r"[a-z0-9_]+", record.name)
    assert re.fullmatch(r"[\w.\-]+", record.file)  # a plain name: it is joined to a folder
    assert record.task
    assert record.license
    assert record.sources
    assert record.config == "" or record.config in own_names()
    for result in record.results:
        assert result.protocol in PROTOCOLS
        assert set_named(result.test_set).name == result.test_set
        assert 20 < result.psnr < 45


@of_each_record
def test_a_source_is_an_address_a_pinned_package_a_page_or_the_package_itself(record):
    for source in record.sources:
        assert isinstance(source, Address | Package | Page | Shipped)
        if isinstance(source, Address | Page):
            assert re.match(r"https?://[\w.\-]+/", source.url)
        if isinstance(source, Package):
            assert re.fullmatch(r"[\w\-]+==[\d.]+", source.requirement)
            assert record.sha256  # whoever takes over a package cannot change the weights


@of_each_record
def test_a_checksum_is_the_one_that_the_file_s_name_tells(record):
    assert re.fullmatch(r"[0-9a-f]{8,64}|", record.sha256)
    told = re.search(r"-([0-9a-f]{8})\.pth$", record.file)
    if told:
        assert record.sha256[:8] == told[1]


def test_shipped_files_are_the_recorded_ones():
    shipped = {place_of(record): record for record in records() if Shipped() in record.sources}
    for path in SHIPPED.glob("*.safetensors"):
        assert sha256_of(path).startswith(shipped[path].sha256)
        assert shipped[path].size in (0, path.stat().st_size)


def test_other_names_are_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"called 'edvr_m_x4_red'; near are edvr_m_x4_reds"):
        record_named("edvr_m_x4_red")
    with pytest.raises(InputError, match=r"no test set is called 'REDS5'; there are REDS4, "):
        set_named("REDS5")


def test_the_test_sets_of_the_papers_are_there():
    there = {published.name for published in TEST_SETS if published.urls}
    assert there >= {"REDS4", "Vid4", "UDM10", "DVD10", "GoPro11", "DAVIS-test", "Set8"}


def test_a_result_says_what_it_was_measured_on():
    assert str(Result("Vid4", 27.24, 0.8251, "vid4", "Y")) == "Vid4 27.24 / 0.8251 (Y)"
    assert str(Result("DAVIS-test", 34.57, None, "rvrt", sigma=50)) == "DAVIS-test sigma 50 34.57 (RGB)"


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_of_the_documents_are_those_of_the_records(name):
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert tables.with_table(text, tables.TABLES[name]()) == text, "python -m ascendvsr.models.tables writes them"


def test_a_document_without_marks_is_told():
    with pytest.raises(ValueError, match="there are no marks"):
        tables.with_table("# Networks\n", [])
