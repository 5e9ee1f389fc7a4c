"""Everyday questions from templates, split into training and held-out ones.

Knows: a few hundred plain facts' subjects and the sentence forms people ask about them in. Does not know the answers: those come
from the Thinker itself (`texts.py`), because the spoken question must be answered as the typed one is.
"""

import random
import re
from collections.abc import Iterator

_SUBJECTS: dict[str, str] = {
    "country": "France Germany Italy Spain Japan China India Brazil Canada Mexico Egypt Russia Greece Turkey Sweden Norway "
    "Finland Denmark Poland Portugal Ireland Scotland England Austria Switzerland Belgium Hungary Iceland Kenya Nigeria "
    "Australia Argentina Chile Peru Cuba Jamaica Israel Iran Iraq Pakistan Thailand Vietnam Korea Indonesia",
    "city": "Paris London Rome Berlin Madrid Tokyo Boston Chicago Moscow Athens Dublin Vienna Sydney Toronto Dallas Seattle",
    "animal": "dog cat horse cow lion tiger elephant bear wolf fox rabbit mouse snake eagle owl penguin whale dolphin shark "
    "turtle frog bee spider monkey giraffe zebra camel goat sheep pig chicken duck kangaroo crocodile butterfly ant",
    "thing": "sky grass snow blood banana lemon orange carrot tomato coal gold silver sun moon ocean rose chocolate coffee milk "
    "cloud leaf fire emerald ruby",
    "adjective": "hot big fast happy old dark hard wet rich strong loud early full high long young clean open heavy easy cheap "
    "good new thick deep sweet sharp brave quiet tall",
    "food": "bread cheese butter soup salad rice pasta pizza chocolate honey wine beer tea coffee cake ice cream yogurt sushi",
    "profession": "doctor teacher farmer baker pilot lawyer nurse plumber chef dentist carpenter scientist librarian painter "
    "soldier sailor judge mechanic gardener tailor",
    "tool": "hammer knife spoon pencil camera telescope microscope clock compass umbrella ladder bridge computer telephone "
    "bicycle candle mirror thermometer calculator shovel",
    "planet": "Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune",
    "person": "Shakespeare Einstein Newton Mozart Beethoven Picasso Napoleon Lincoln Washington Cleopatra Columbus Darwin "
    "Galileo Gandhi Edison Tesla Aristotle Plato",
    "language": "English French German Spanish Italian Japanese Chinese Russian Arabic Latin",
    "sport": "football tennis baseball basketball hockey golf swimming chess volleyball rugby",
    "material": "wood glass paper steel cotton wool leather plastic rubber concrete",
    "time": "a day|a week|a month|a year|an hour|a minute|a century|a decade|a leap year|a weekend",
    "month": "January February March April May June July August September October November December",
    "number": "one two three four five six seven eight nine ten eleven twelve",
    "idea": "gravity|photosynthesis|democracy|electricity|friendship|the internet|a black hole|a volcano|an earthquake|a rainbow|"
    "a hurricane|music|mathematics|history|evolution|inflation|a vitamin|a virus|oxygen|the brain|the heart|a computer|a novel|"
    "a poem|a desert|a glacier|a tornado|a galaxy|a comet|an atom",
}

_FORMS: dict[str, str] = {
    "country": "What is the capital of {}?|Where is {}?|What language do people speak in {}?|What is {} famous for?|"
    "What continent is {} in?|Tell me about {}.|What food is popular in {}?",
    "city": "Where is {}?|What is {} known for?|What country is {} in?|What should I see in {}?",
    "animal": "What does a {} eat?|Where does a {} live?|How many legs does a {} have?|What sound does a {} make?|"
    "What is a baby {} called?|How long does a {} live?|Is a {} a mammal?|Tell me about the {}.",
    "thing": "What color is the {}?|What color is a {}?|Why is the {} that color?",
    "adjective": "What is the opposite of {}?|What is another word for {}?|Use the word {} in a sentence.",
    "food": "What is {} made of?|How do you make {}?|Is {} healthy?|Where does {} come from?",
    "profession": "What does a {} do?|Where does a {} work?|How do I become a {}?",
    "tool": "What is a {} used for?|Who invented the {}?|How does a {} work?",
    "planet": "How big is {}?|How far is {} from the sun?|Does {} have a moon?|Tell me about {}.",
    "person": "Who was {}?|What is {} famous for?|When was {} born?",
    "language": "Where do people speak {}?|How do you say hello in {}?|Is {} hard to learn?",
    "sport": "How do you play {}?|How many players are in {}?|Who invented {}?",
    "material": "What is {} made from?|What is {} used for?",
    "time": "How many days are in {}?|How long is {}?",
    "month": "What season is {} in?|What comes after {}?|How many days are in {}?",
    "idea": "What is {}?|Can you explain {}?|Why is {} important?|How does {} work?",
}

_OTHERS = (
    "Hello, how are you?|Good morning.|What is your name?|Who are you?|Can you help me?|Thank you very much.|Tell me a joke.|"
    "Tell me a short story.|What can you do?|How many days are in a week?|How many months are in a year?|Who wrote Hamlet?|"
    "What do plants need to grow?|What is the largest ocean?|What is the longest river in the world?|"
    "What is the highest mountain in the world?|What is the smallest country?|What do bees make?|Why is the sky blue?|"
    "Why do leaves change color?|What causes rain?|How do birds fly?|Why do we sleep?|What is the speed of light?|"
    "Which planet is closest to the sun?|Which planet is the largest?|How many continents are there?|"
    "What is the fastest animal?|What is the tallest animal?|Who painted the Mona Lisa?|Who was the first man on the moon?|"
    "What is the boiling point of water?|How can I sleep better?|How can I learn faster?|What should I eat for breakfast?|"
    "What is a good book to read?|Where should I go on vacation?|How do I make new friends?|How can I save money?|"
    "What is the best way to exercise?|How do I cook an egg?|What is the weather like in winter?"
)


def _subjects(kind: str) -> list[str]:
    text = _SUBJECTS[kind]
    return text.split("|") if "|" in text else text.split()


def all_questions() -> Iterator[str]:
    """Yields every question of every form and subject, in a fixed order."""
    for kind, forms in _FORMS.items():
        for form in forms.split("|"):
            for subject in _subjects(kind):
                yield re.sub(r"\ba (?=[aeiou])", "an ", form.format(subject))
    numbers = _subjects("number")
    for a in numbers:
        for b in numbers:
            yield f"What is {a} plus {b}?"
    yield from _OTHERS.split("|")


def split_questions(*, held_out: int = 100, seed: int = 7) -> tuple[list[str], list[str]]:
    """Splits the questions into training and held-out ones.

    Args:
        held_out: How many questions are kept for measuring only.
        seed: Of the shuffle; the split is part of the recipe and never changes.

    Returns:
        `(train, held_out)`, disjoint, each in shuffled order.
    """
    questions = sorted(set(all_questions()))
    random.Random(seed).shuffle(questions)
    return questions[held_out:], questions[:held_out]
