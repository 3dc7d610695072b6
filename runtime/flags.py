"""What the commands' flags mean: the `type`s that argparse calls with a flag's text."""
import argparse
import math
import re


def positive(text):
    """Read a whole number from 1 to 999999, such as 10."""
    if not re.fullmatch("0*[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999999")
    return int(text)


def number(text):
    """Read a whole number from 0 to 999999."""
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 999999")
    return int(text)


def rate(text):
    """Read a rate between 0 and 1, such as 1e-3."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate between 0 and 1, such as 1e-3")
    return value


def rate_of_one_digit(text):
    """Read a rate that its key in results tells exactly, such as 5e-4, and not 1.4e-3, whose key would be 1e-03."""
    value = rate(text)
    if float(f"{value:.0e}") != value:
        raise argparse.ArgumentTypeError(f"{text!r} is not a rate of one digit, such as 1e-3 or 5e-4; results would "
                                         f"call it {value:.0e}")
    return value


def cosine(text):
    """Read a cosine similarity, −1 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not -1 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a cosine similarity, −1 to 1")
    return value


def span(text):
    """Read `A,B`, two whole numbers with A less than B, as a list."""
    numbers = [int(part) for part in re.findall("[0-9]{1,9}", text)]
    if not re.fullmatch("[0-9]{1,9},[0-9]{1,9}", text) or numbers[0] >= numbers[1]:
        raise argparse.ArgumentTypeError(f"{text!r} is not A,B with A less than B")
    return numbers


def steps(text):
    """Read `100000,160000` as a list of batch numbers; empty for none."""
    return [int(part) for part in text.split(",") if part.strip()]


def set_names(text):
    """Read the names of verification sets, with or without .bin, as a list."""
    return [name[:-len(".bin")] if name.endswith(".bin") else name for name in names(text)]


def names(text):
    """Read `lfw,cfp_fp` as a list."""
    return [name.strip() for name in text.split(",") if name.strip()]
