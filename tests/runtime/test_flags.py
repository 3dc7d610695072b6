"""What the text of a flag means, and what argparse says of one that means nothing."""
import argparse

import pytest

from runtime import flags


def parse(kind, text):
    parser = argparse.ArgumentParser(prog="command")
    parser.add_argument("--flag", type=kind)
    return parser.parse_args([f"--flag={text}"]).flag


@pytest.mark.parametrize("kind, text, value", [
    (flags.positive, "1", 1), (flags.positive, "0010", 10), (flags.positive, "999999", 999999),
    (flags.number, "0", 0), (flags.number, "000007", 7), (flags.number, "999999", 999999),
    (flags.rate, "1e-3", 0.001), (flags.rate, "0.999", 0.999),
    (flags.rate_of_one_digit, "5e-4", 0.0005), (flags.rate_of_one_digit, "0.00001", 1e-5),
    (flags.cosine, "-1", -1.0), (flags.cosine, "0.25", 0.25), (flags.cosine, "1", 1.0),
    (flags.span, "0,1", [0, 1]), (flags.span, "007,999999999", [7, 999999999]),
    (flags.steps, "100000,160000", [100000, 160000]), (flags.steps, "", []), (flags.steps, " 5 , 9,", [5, 9]),
    (flags.names, "lfw,cfp_fp", ["lfw", "cfp_fp"]), (flags.names, " lfw ,, orl.bin,", ["lfw", "orl.bin"]),
    (flags.names, "", []),
    (flags.set_names, "lfw.bin, cfp_fp", ["lfw", "cfp_fp"]), (flags.set_names, "a.bin.bin", ["a.bin"]),
    (flags.set_names, "", [])])
def test_what_a_text_means(kind, text, value):
    found = parse(kind, text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("kind, texts, said", [
    (flags.positive, ["0", "-1", "1.5", "", "1000000", "1_0", "x", "１"], "is not a number from 1 to 999999"),
    (flags.number, ["-1", "1.5", "", "1000000", "²", "１", "1_0"], "is not a number from 0 to 999999"),
    (flags.rate_of_one_digit, ["1.4e-3", "0.25", "0.999"], "is not a rate of one digit, such as 1e-3 or 5e-4"),
    (flags.rate_of_one_digit, ["1", "x"], "is not a rate between 0 and 1"),
    (flags.rate, ["0", "1", "-0.1", "nan", "inf", "x", ""], "is not a rate between 0 and 1, such as 1e-3"),
    (flags.cosine, ["-1.01", "2", "nan", "inf", "x", ""], "is not a cosine similarity, −1 to 1"),
    (flags.span, ["1,1", "2,1", "1", "1,2,3", "-1,2", "a,b", "", "1,12345678901"], "is not A,B with A less than B"),
    (flags.steps, ["5,x", "1.5"], "invalid steps value")])
def test_what_means_nothing_is_wrong_usage(kind, texts, said, capsys):
    for text in texts:
        with pytest.raises(SystemExit) as end:
            parse(kind, text)
        assert end.value.code == 2 and said in capsys.readouterr().err
