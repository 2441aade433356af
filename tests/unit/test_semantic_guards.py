"""What guards forbid: the answer to a prompt that is similar and asks for something else."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway_workers.cache.semantic.guards import refusal

OTHER_QUESTIONS = [
    ("number", "Convert 10 miles to kilometers.", "Convert 100 miles to kilometers."),
    ("number", "Is 1.5 mg of the drug too much?", "Is 15 mg of the drug too much?"),
    ("number", "What are the three largest countries?", "What are the five largest countries?"),
    ("number", "Who was the first president?", "Who was the second president?"),
    ("number", "Who was the 16th president?", "Who was the 17th president?"),
    ("number", "Is twenty-one enough?", "Is twenty enough?"),
    ("number", "Can a 5-year-old swim?", "Can a 6-year-old swim?"),
    ("number", "Who was Henry VIII?", "Who was Henry VII?"),
    ("order", "What is 5 - 3?", "What is 3 - 5?"),
    ("number", "Is -5 greater than 3?", "Is 5 greater than 3?"),
    ("number", "What's new in Python 3.11?", "What's new in Python 3.12?"),
    ("code", "Where is order AB-1234-X?", "Where is order AB-1234-Y?"),
    ("code", "What does list.append do?", "What does list.extend do?"),
    ("code", "What is the difference of == and ===?", "What is the difference of = and ==?"),
    ("code", "Delete /tmp/a.txt", "Delete /tmp/b.txt"),
    ("code", "Summarize https://a.com/x", "Summarize https://a.com/y"),
    ("code", "What is 5 - 3?", "What is 5 + 3?"),
    ("quoted", "How do you spell 'affect'?", "How do you spell 'effect'?"),
    ("quoted", "Translate \u201egood morning\u201c.", "Translate \u201egood evening\u201c."),
    ("matter", "Is this correct: He go home.", "Is this correct: He goes home."),
    ("matter", "Sentiment?\nI love it.", "Sentiment?\nI really love it."),
    ("negation", "Which countries are in the EU?", "Which countries are not in the EU?"),
    ("negation", "Can I travel with a visa?", "Can I travel without a visa?"),
    ("negation", "Ist das Haus teuer?", "Ist das Haus nicht teuer?"),
    ("opposite", "Is aspirin safe in pregnancy?", "Is aspirin unsafe in pregnancy?"),
    ("opposite", "Show flights that include baggage.", "Show flights that exclude baggage."),
    ("opposite", "Sort in ascending order.", "Sort in descending order."),
    ("opposite", "How do I increase brightness?", "How do I decrease brightness?"),
    ("opposite", "Is a careful driver insured?", "Is a careless driver insured?"),
    ("opposite", "What happens before the trial?", "What happens after the trial?"),
    ("opposite", "Which city hosted the Olympics?", "Which country hosted the Olympics?"),
    ("kind", "Is the museum open on Monday?", "Is the museum open on Sunday?"),
    ("kind", "What happens in May?", "What happens in March?"),
    ("kind", "What did he say of her?", "What did she say of him?"),
    ("kind", "Is 5 mg of it safe?", "Is 5 g of it safe?"),
    ("kind", "Is $50 enough?", "Is \u20ac50 enough?"),
    ("kind", "Is the office open at 5 am?", "Is the office open at 5 pm?"),
    ("kind", "What's the weather today?", "What's the weather tomorrow?"),
    ("name", "Who wrote Hamlet?", "Who wrote Macbeth?"),
    ("name", "Who is the CEO of it?", "Who is the CFO of it?"),
    ("limit", "Is it only for new customers?", "Is it for new customers?"),
    ("limit", "Do both of us need it?", "Do we need it?"),
    ("amount", "Do all birds fly?", "Do some birds fly?"),
    ("tense", "Was the store open?", "Will the store be open?"),
    ("tense", "How old is the president?", "How old was the president?"),
    ("duty", "Must I pay taxes on gifts?", "May I pay taxes on gifts?"),
    ("question", "Where was Mozart born?", "When was Mozart born?"),
    ("question", "Is the sky blue?", "Why is the sky blue?"),
    ("question", "Cancel my order.", "How do I cancel my order?"),
    ("question", "How tall is it?", "How old is it?"),
    ("order", "Is Anna taller than Tom?", "Is Tom taller than Anna?"),
    ("order", "Did the dog bite the man?", "Did the man bite the dog?"),
    ("order", "Convert kilometers to miles.", "Convert miles to kilometers."),
    ("order", "How do I get from Rome to Oslo?", "How do I get from Oslo to Rome?"),
    ("order", "How many inches in a foot?", "How many feet in an inch?"),
    ("order", "Who did Anna call?", "Who called Anna?"),
    ("order", "Did Ajax beat Porto?", "Was Ajax beaten by Porto?"),
    ("word", "Can I fly if I am pregnant?", "Can I fly if I am sick?"),
    ("word", "Explain photosynthesis.", "Explain photosynthesis to beginners."),
    ("word", "Pack apples, pears, plums and figs.", "Pack apples, limes, plums and dates."),
    (
        "word",
        "Should I take the new drug of my doctor with food?",
        "Should I take the new drug of my doctor on an empty stomach?",
    ),
    ("word", "How do I make batter?", "How do I make butter?"),
    ("word", "What is nitrate used for?", "What is nitrite used for?"),
    ("question", "Thanks, that was it.", "Thanks, was that it?"),
    ("word", "List the planets.", "List the planets as a table."),
    ("word", "How many calories has an apple?", "How many calories has an apple pie?"),
    ("word", "\u6cd5\u56fd\u7684\u9996\u90fd", "\u5fb7\u56fd\u7684\u9996\u90fd"),
    ("length", "What is tax?", "What is tax? " + "I want to know more about it. " * 3),
]
SAME_QUESTIONS = [
    ("What is the capital of France?", "Which city is the capital of France?"),
    ("What is the capital of France?", "France's capital is which city?"),
    ("What is the capital of France?", "what is the capital of france"),
    ("How do I reset my password?", "What are the steps to reset my password?"),
    ("How long does shipping take?", "How many days until my order arrives?"),
    ("Is aspirin safe during pregnancy?", "Can pregnant women take aspirin safely?"),
    ("Who wrote Pride and Prejudice?", "Pride and Prejudice was written by whom?"),
    ("How do I sort a list in Python?", "What's the way to sort a Python list?"),
    ("Why is the sky blue?", "Explain why the sky is blue."),
    ("When did World War II end?", "In which year did World War 2 end?"),
    ("My order hasn't arrived yet.", "I still have not received my order."),
    ("How do I get from Paris to London?", "How do I get to London from Paris?"),
    ("How many planets are there?", "What is the number of planets?"),
    ("How do I delete a branch in Git?", "How can I remove a Git branch?"),
    ("Is 1,000 enough?", "Is 1000 enough?"),
    ("Is 20% much?", "Is 20 percent much?"),
    ("Do you ship to Canada?", "Is shipping to Canada available?"),
    ("Translate into French: I am tired", "Please translate to French: I am tired"),
    ("How do I reset my password?", "Hi there, how do i reset my password thanks"),
    ("How do I reset my password?", "Quick question: how do I reset my pasword?"),
    ("Do you ship to Canada?", "Good morning! do u ship to canada. Thank you very much"),
    ("How do I sort a list in Python?", "Hello, how do i sort a lsit in pyhton"),
    ("My order hasn't arrived yet.", "my order hasnt arrived yet pls"),
    ("How long do eggs keep?", "Just wondering: how long do eggs keep Many thanks, Alex"),
    ("How long do eggs keep?", "ok so how long do eggs keep :)"),
    ("Which one is cheaper?", "Which is cheaper?"),
    ("Could you tell me if it is free?", "Is it free?"),
    ("Can you explain photosynthesis?", "What is photosynthesis?"),
]


@pytest.mark.parametrize(("guard", "asked", "kept"), OTHER_QUESTIONS)
def test_another_question_is_refused(guard: str, asked: str, kept: str) -> None:
    assert refusal(asked, kept) == guard
    assert refusal(kept, asked) == guard


@pytest.mark.parametrize(("asked", "kept"), SAME_QUESTIONS)
def test_the_same_question_in_other_words_is_not(asked: str, kept: str) -> None:
    assert refusal(asked, kept) is None
    assert refusal(kept, asked) is None


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_texts_can_be_compared_and_it_does_not_matter_which_was_first(
    one: str, other: str
) -> None:
    assert refusal(one, one) is None
    assert (refusal(one, other) is None) == (refusal(other, one) is None)


@pytest.mark.parametrize(
    "text",
    [
        *("1," * 1_990, "'" * 3_990, "\u201e" * 3_990, "\n" * 3_990, "a'" * 1_990, "a." * 1_990),
        *("\u6cd5" * 390, "ing" * 1_300, "un" * 1_990, "x y " * 200, "\x00" * 3_000, "\ud800"),
        " ".join(f"un{chr(97 + each % 26) * 5}{each}" for each in range(390)),
        # Read as six characters each; words that another prompt has none of; runs before an end.
        *("\u3316" * 3_990, "\u30ad" * 3_990, "x" + " " * 3_990 + "y", "\U0001f600" * 3_990 + "y"),
    ],
)
def test_no_text_holds_up_the_worker(text: str) -> None:
    plain = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(500))

    assert seconds(text) < 10 * seconds(plain)


def seconds(text: str) -> float:
    """Of this thread, for what refuses a text most; the least of three, as a collection of all that
    a thousand tests left behind takes longer.
    """

    def once() -> float:
        began = time.thread_time()
        refusal(text, text[:-2] + "to y")
        refusal(text, "\u30da" * 3_990)
        return time.thread_time() - began

    return min(once() for _ in range(3))
