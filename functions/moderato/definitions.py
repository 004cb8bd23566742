"""What annotators go by: for each category of the starter model, what belongs to it and what does not."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Definition:
    """What a category means, in words that decide a borderline text."""

    means: str
    leaves_out: str


DEFINITIONS = {
    "toxicity": Definition(
        "Rude, disrespectful or unreasonable: it is likely to make people leave the conversation.",
        "Firm disagreement, bad news, or strong words about a thing and not about people.",
    ),
    "severe_toxicity": Definition(
        "Very hateful or aggressive: it would make almost anybody leave, or give up sharing their view.",
        "Ordinary rudeness, sarcasm, or swearing among friends. What is severe is toxic as well.",
    ),
    "identity_attack": Definition(
        "Negative or hateful towards people because of who they are: origin, skin colour, religion, gender, "
        "sexual orientation, disability or age.",
        "Naming a group, speaking about oneself, quoting hate to condemn it, or criticism of an idea or a government.",
    ),
    "insult": Definition(
        "Inflammatory or demeaning towards a person or a group: it attacks them and not what they said.",
        "Criticism of work or of an argument, and jokes at one's own expense.",
    ),
    "profanity": Definition(
        "Swear words, curse words, or other obscene language, spelt out or disguised, whoever it is aimed at.",
        "Medical or technical words, and words that only sound alike.",
    ),
    "threat": Definition(
        "Says that the writer wants or intends pain, injury or violence against a person or a group.",
        "Hyperbole that nobody would take for an intention, warnings of a danger, and violence in games or stories.",
    ),
}
"""Categories that a model has beyond these are shown by their name alone."""
