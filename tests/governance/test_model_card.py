"""The model card: what a reader gets to see, and what labels from data cannot do to it."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from mlops_tasks.artifacts import Decision
from mlops_tasks.governance.model_card import Card, render_card
from mlops_tasks.settings.schema import CardSettings
from tests.governance.samples import EVIDENCE, SECRET, with_labels

HOSTILE = "<script>alert(1)</script>|\"'&<!--"
SAID = CardSettings(intended_use="Plan gates.", limits="Not for crews.", owner="Flight team")
MARKDOWN = MarkdownIt("commonmark").enable("table")


class Seen(HTMLParser):
    """Tags, text, and the tables as lists of cells."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags, self.words, self.open = [], [], []
        self.tables: list[list[list[str]]] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def card(evidence=EVIDENCE, said=SAID, model="flight-delay") -> Card:
    return render_card(model, "v7", evidence, said)


def both(found: Card) -> tuple[Seen, Seen]:
    return Seen(MARKDOWN.render(found.markdown)), Seen(found.html)


def test_it_tells_the_whole_story_in_both_forms() -> None:
    facts = [
        "flight-delay v7", "Plan gates.", "Not for crews.", "Flight team", "delayed is 1",
        "boosted", "c" * 64, "1,812,345 bytes", "36,512", "5" * 32, "1" * 64, "2" * 64, "eu",
        "hour", "carrier", "day", "0.7421 [0.7318, 0.7519]", "0.4312 [0.4251, 0.4377]",
        "carrier = AA", "4,012", "0.7510 [0.7310, 0.7680]", "not defined", "linear", "champion",
        "+0.0319 [+0.0244, +0.0398]", "not known", "Refused.", "there are 12171 rows",
        "0.5830 on carrier=HA, the floor is 0.65", "f" * 64, EVIDENCE.lineage.git_commit,
        "with changes that are not committed", "7" * 64, "8" * 64, "9" * 64, "a" * 64, "0.1.0",
    ]  # fmt: skip
    for seen in both(card()):
        assert [fact for fact in facts if fact not in seen.text] == []


def test_the_two_forms_hold_the_same_tables() -> None:
    markdown, html = both(card())
    told = [[row for row in table if row != ["What", "Value"]] for table in markdown.tables]
    assert told == html.tables
    assert len(told) == 8


def test_what_nobody_said_is_said_to_be_missing() -> None:
    found = card(said=CardSettings())
    for part in ("## Intended use\n\nnot stated", "## Limits\n\nnot stated", "Owner | not stated"):
        assert part in found.markdown
    for seen in both(found):
        assert seen.text.count("not stated") == 3
    assert "not stated" not in card().markdown + card().html


def test_what_was_not_measured_is_said_to_be_missing() -> None:
    nothing = replace(EVIDENCE.evaluation, metrics={}, slices=(), calibration=())
    found = replace(EVIDENCE, evaluation=nothing, comparisons=(), decision=Decision(True, (), ""))
    for seen in both(card(found)):
        assert "No slices were measured." in seen.text
        assert "Calibration was not measured." in seen.text
        assert "There was nothing to compare with." in seen.text
        assert "Accepted." in seen.text


def test_calibration_is_summed_up() -> None:
    for seen in both(card()):
        assert "differ by 0.0290 on average over 2 bins, and by 0.2000 at most" in seen.text
        assert "among 100 rows that score from 0.5 to 1," in seen.text


def test_the_worst_slice_comes_first_and_undefined_ones_last() -> None:
    for seen in both(card()):
        table = next(each for each in seen.tables if each[0][0] == "Slice, worst first")
        assert [row[0][-2:] for row in table[1:]] == ["HA", "AA", "OO"]


@pytest.mark.parametrize(
    "label",
    [HOSTILE, "a|b", "a\\|b", "**a** _b_ `c` ~~d~~", "[a](javascript:b)", "![a](b)", "<b>", "&lt;"],
)
def test_labels_from_data_and_settings_stay_text(label: str) -> None:
    said = CardSettings(intended_use=label, limits=label, owner=label)
    usual = both(card())
    for seen, normal in zip(both(card(with_labels(label), said, label)), usual, strict=True):
        assert set(seen.tags) <= set(normal.tags)
        assert [len(table[0]) for table in seen.tables] == [len(t[0]) for t in normal.tables]
        assert all(len(row) == len(table[0]) for table in seen.tables for row in table)
        cells = [cell for table in seen.tables for row in table for cell in row]
        assert f"{label} = {label}" in cells
        assert cells.count(label) >= 10
        assert label in seen.text


@given(st.text(max_size=30))
def test_no_text_breaks_out_of_its_paragraph_or_cell(text: str) -> None:
    said = CardSettings(intended_use=text, limits=f"1. {text}", owner=text)
    tags = ("h1", "h2", "p", "table", "tr", "td", "ul", "ol", "pre", "script", "a", "em", "code")
    found, usual = (
        Seen(MARKDOWN.render(card(with_labels(each), settings, each).markdown))
        for each, settings in ((text, said), ("x", CardSettings()))
    )
    shapes = [[seen.tags.count(tag) for tag in tags] for seen in (found, usual)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("start", ["# a", "- a", "+ a", "1. a", "1) a", "> a", "    a", "---", "="])
def test_a_paragraph_of_the_settings_begins_nothing_else(start: str) -> None:
    seen = Seen(MARKDOWN.render(card(said=CardSettings(intended_use=start)).markdown))
    assert start.strip() in seen.text
    assert not {"ul", "ol", "pre", "blockquote", "hr"} & set(seen.tags)


def test_the_page_stands_by_itself() -> None:
    page = card().html
    assert not re.search(r"https?://|<script|<link|<img|url\(|@import|javascript:", page)
    assert "default-src 'none'" in page


def test_equal_inputs_give_equal_cards_and_no_address_is_in_them() -> None:
    candidate = replace(EVIDENCE.candidate, model_uri="/elsewhere", fit_seconds=99.0, params={})
    there = card(replace(EVIDENCE, candidate=candidate))
    here = card(replace(EVIDENCE, candidate=replace(EVIDENCE.candidate, params={})))
    assert there == here
    assert SECRET not in here.markdown + here.html
