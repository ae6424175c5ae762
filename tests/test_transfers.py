"""A checkpoint of 1 GB, beside boto3's own upload."""

import pytest

from effreason.benchmarks.transfers import Round, Upload, measure, summary
from effreason.choices import S3Home


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_large_checkpoint_goes_up_about_as_fast_as_boto3_sends_it_and_in_little_memory(s3_home: S3Home):
    found = summary(measure(s3_home, file_bytes=10**9, rounds=3), 10**9)
    assert found["speed_of_boto3"] >= 0.9, found
    assert found["peak_bytes"] < 300e6, found


def test_a_ratio_is_a_share_of_the_speed_of_boto3_and_one_round_has_no_limits():
    rounds = [Round(Upload(seconds=ours, peak_bytes=1), Upload(seconds=8.0, peak_bytes=2)) for ours in (4.0, 8.0, 16.0)]
    assert summary(rounds, 1)["speed_of_boto3"] == 1.0
    assert summary(rounds, 1)["speed_of_boto3_limits"] == [0.5, 2.0]
    assert summary(rounds[:1], 1)["speed_of_boto3_limits"] is None
