import sys

import pytest

from model.recipes.omni_mini.evaluate.key_word import agrees, key_word
from model.recipes.omni_mini.evaluate.people import PACKAGE, recordings_by_people
from model.recipes.omni_mini.questions import all_questions, split_questions
from model.recipes.omni_mini.recogniser import word_error_rate, word_errors, words
from model.recipes.omni_mini.replies import speakable


def test_words_fold_case_marks_and_small_figures():
    assert words("It's 7 o'clock, Well-known!") == ["its", "seven", "oclock", "well", "known"]


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b", "a x b", 1), ("a b", "", 2), ("", "a", 1)],
)
def test_word_errors(reference, heard, errors):
    assert word_errors(reference.split(), heard.split()) == errors


def test_error_rate_weighs_by_words():
    assert word_error_rate([("a b c", "a b c"), ("d", "e")]) == 0.25


def test_key_word_is_what_the_question_did_not_say():
    assert key_word("What is the capital of France?", "The capital of France is Paris.") == "paris"
    assert key_word("What is two plus two?", "4") == "4"
    assert key_word("What is it?", "It is.") is None


def test_agreement_needs_the_key_word():
    question, typed = "What is the opposite of hot?", "The opposite of hot is cold."
    assert agrees(question, typed, "Cold, I think.")
    assert not agrees(question, typed, "The opposite of hot is warm.")
    assert agrees("What is it?", "It is.", "It is.")
    assert not agrees("What is it?", "It is.", "It was.")


def test_held_out_questions_are_never_training_ones():
    train, held_out = split_questions()
    assert len(held_out) == len(set(held_out)) == 100
    assert not set(train) & set(held_out)
    assert set(train) | set(held_out) == set(all_questions())
    assert split_questions() == (train, held_out)


def test_questions_have_their_articles():
    assert not [q for q in all_questions() if " a a" in q or " a e" in q or " a o" in q]


@pytest.mark.parametrize(
    ("reply", "finished", "text"),
    [
        ("Bees make honey.", True, "Bees make honey."),
        ("Bees make honey. They li", False, "Bees make honey."),
        ("Bees make honey and the", False, "Bees make honey and"),
        ("x ** y", True, None),
        ("42", True, None),
        (" ".join(["word"] * 40), True, None),
    ],
)
def test_speakable(reply, finished, text):
    assert speakable(reply, finished=finished) == text


def test_human_recordings_are_found_without_importing_their_package():
    assert all(path.exists() for path in recordings_by_people())
    assert PACKAGE not in sys.modules
