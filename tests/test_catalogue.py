"""The shapes of models, against the sizes that their makers publish."""

import pytest

from effreason.catalogue import ON_THE_HUB, shape
from effreason.choices import BuiltInModel, FolderModel, HubModel

PUBLISHED = {
    "HuggingFaceTB/SmolLM2-135M-Instruct": 134_515_008,
    "meta-llama/Llama-3.1-8B-Instruct": 8_030_261_248,
    "meta-llama/Llama-3.2-1B-Instruct": 1_235_814_400,
    "meta-llama/Llama-3.2-3B-Instruct": 3_212_749_824,
    "microsoft/phi-4": 14_659_507_200,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
}


@pytest.mark.parametrize("name", sorted(ON_THE_HUB))
def test_a_catalogued_shape_has_the_published_number_of_parameters(name):
    assert ON_THE_HUB[name].parameters == PUBLISHED[name]


def test_the_built_in_model_is_read_from_its_own_config():
    known = shape(BuiltInModel())
    assert known is not None
    assert 300_000 <= known.parameters <= 1_000_000
    assert known.head_size == 32


def test_a_model_that_nobody_knows_has_no_shape_rather_than_a_wrong_one(tmp_path):
    (tmp_path / "config.json").write_text('{"n_embd": 768}')
    assert shape(FolderModel(name="gpt", path=str(tmp_path))) is None
    assert shape(HubModel(name="x", id="some/thing")) is None
