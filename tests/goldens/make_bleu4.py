"""Writes bleu4.json: tokens and BLEU-4 of made-up captions by pycocoevalcap, the packaged coco-caption.

Run it in an environment of its own, never in the project's; the JSON it writes is committed, and tests read that.
Needs Java (any version from 8 on, for the Stanford tokenizer that the package holds) and
    pip install --no-deps pycocoevalcap==1.2
Then, from the root of the repository:
    python tests/goldens/make_bleu4.py
The captions below were made up for this file. Tokens come from the package's PTBTokenizer, scores from its
pure-Python BleuScorer on these tokens with the closest reference length, as its evaluation calls it.
"""

import json
import random
from pathlib import Path

PICTURES = [
    [
        "A man in a red jacket is riding a bicycle down a wet street.",
        "A cyclist wearing a red jacket rides through the rain .",
        "The man's bicycle splashes water as he rides down the street",
        "A person on a bike in a rainy, grey city street.",
        "Someone rides a bicycle on a wet road beside parked cars .",
    ],
    [
        "Two dogs are playing with a yellow ball on the grass.",
        "Two brown dogs chase a ball across a green lawn.",
        "The dogs' ball rolls away while they don't look",
        "A pair of dogs play on the grass; one holds a ball.",
        "Two dogs running in a garden with a ball in the air",
    ],
    [
        "A bowl of soup with bread and a spoon on a wooden table.",
        "There is a bowl of orange soup next to two slices of bread .",
        "A table with soup, bread, and a half-empty glass of water",
        "Hot soup in a white bowl (with parsley) and some bread.",
        "A meal of soup and bread is served on a wooden table .",
    ],
    [
        'A shop window with a sign that says "Closed until 10:30".',
        "A sign in the window of a shop says it's closed .",
        "A closed shop with a hand-written sign on the door",
        "The shop isn't open: a note hangs in the window.",
        "A small store front with a sign reading 'closed' .",
    ],
    [
        "A woman and her 3-year-old daughter look at a giraffe .",
        "A mother holds her child's hand in front of a tall giraffe.",
        "Two people can't reach the giraffe behind the fence !",
        "A giraffe bends down to a woman and a little girl",
        "The giraffe is looking at the people who've come to see it .",
    ],
    [
        "A black-and-white cat sleeps on top of a laptop computer.",
        "A cat is lying on a keyboard , asleep .",
        "A sleepy cat has taken over someone's laptop",
        "The cat sleeps on the warm laptop -- nobody will work today .",
        "A cat curled up on an open laptop on a desk",
    ],
    [
        "A train with 12 cars passes over a stone bridge .",
        "An old train crosses a high bridge above a river.",
        "A long train on a bridge in the mountains",
        "The No. 7 train is crossing the bridge at 5 p.m. .",
        "A red train travels over a stone bridge near St. Mary .",
    ],
    [
        "Children are building a sand castle at the beach.",
        "Three kids play in the sand near the water's edge .",
        "The children's sand castle is almost as tall as they are",
        "Kids cannot stop digging ... the sea comes closer .",
        "A boy and two girls build a castle out of sand .",
    ],
    [
        "A slice of pizza costs $2.50 at this street stand .",
        "A man sells pizza & drinks from a stand in the street.",
        "A pizza stand with about 20% of its slices left",
        "Slices of pizza are laid out on a counter at a food stand .",
        "They're gonna buy pizza from the man at the stand .",
    ],
    [
        "A surfer in a wetsuit is riding a large wave .",
        "The surfer who'd fallen gets up and rides another wave.",
        "A man on a surfboard rides a big blue wave in the ocean",
        "A person surfing on a wave [seen from above] .",
        "A surfer rides a wave and/or falls , we'll never know .",
    ],
    [
        "An airplane is parked at the gate of a small airport .",
        "A white plane stands at the airport under a cloudy sky.",
        "A U.S. plane waits at the gate while bags are loaded",
        "The airplane's door is open and the stairs are down .",
        "A plane on the tarmac with 2 trucks beside it .",
    ],
    [
        "A kitchen with white cabinets , a stove , and a refrigerator .",
        "This is a clean kitchen with a big window over the sink.",
        "White cabinets and a silver oven in a bright kitchen",
        "A kitchen that's been cleaned; nothing is on the counter .",
        "An empty kitchen with a wooden floor and white walls .",
    ],
]
SHORT = [
    "a cat",
    "two dogs",
    "soup",
    "closed",
    "a giraffe",
    "cat",
    "train",
    "sand",
    "pizza",
    "wave",
    "plane",
    "kitchen",
]


def cases():
    """(name, candidates, references) of each case; drawn with fixed seeds."""
    rng = random.Random(0)
    captions = [caption for picture in PICTURES for caption in picture]
    others = [picture[1:] for picture in PICTURES]
    yield "first caption against the other four", [picture[0] for picture in PICTURES], others
    yield "last caption against all five, itself among them", [picture[4] for picture in PICTURES], PICTURES
    yield "one reference", [f"See how {picture[1]}" for picture in PICTURES], [[picture[1]] for picture in PICTURES]
    uneven = [picture[: 1 + i % 5] for i, picture in enumerate(PICTURES)]
    yield "one to five references", [picture[4 - i % 2] for i, picture in enumerate(PICTURES)], uneven
    mixed = [rng.choice(picture[:3]) if i % 3 else rng.choice(captions) for i, picture in enumerate(PICTURES)]
    yield "two of three right", mixed, PICTURES
    yield "first six words", [" ".join(picture[0].split()[:6]) for picture in PICTURES], PICTURES
    yield "every caption twice over", [f"{picture[0]} {picture[0]}" for picture in PICTURES], PICTURES
    yield "one word many times", ["a a a a a a in a red jacket is riding", *(p[0] for p in PICTURES[1:])], PICTURES
    shuffled = [" ".join(rng.sample(picture[0].split(), len(picture[0].split()))) for picture in PICTURES]
    yield "half of them with the words shuffled", [*shuffled[:6], *(p[1] for p in PICTURES[6:])], PICTURES
    yield "some candidates empty", ["", " . ", *(picture[0] for picture in PICTURES[2:])], others
    yield "one picture", [PICTURES[0][0].replace("red", "blue")], PICTURES[:1]
    yield (
        "a longer and a shorter reference equally close",
        ["a man is riding a bike"],
        [["a man is riding", "a man is riding a bike down here"]],
    )
    yield "degenerate: candidates too short for four words", SHORT, PICTURES
    yield "degenerate: three words, all right", ["a red train"], [["a red train", "the red train"]]
    yield "degenerate: captions of the next picture", [p[2] for p in PICTURES[1:] + PICTURES[:1]], PICTURES
    yield "degenerate: nothing in common", ["zebras graze where nobody ever walks"] * len(PICTURES), PICTURES


def _listed(value):
    """JSON with one line for each entry of a list."""
    if not isinstance(value, list):
        return json.dumps(value)
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]"


def main():
    """Compute and write."""
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    found = list(cases())
    flat = [
        [*candidates, *(text for captions in references for text in captions)] for _, candidates, references in found
    ]
    texts = sorted({text for part in flat for text in part})
    # An empty caption has no tokens; as a line of its own it would confuse the tokenizer's package.
    full = [text for text in texts if text.strip()]
    answers = PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(full)})
    tokens = dict.fromkeys(texts, "") | {text: answers[i][0] for i, text in enumerate(full)}
    rows = []
    for name, candidates, references in found:
        scorer = BleuScorer(n=4)
        for candidate, captions in zip(candidates, references, strict=True):
            scorer += (tokens[candidate], [tokens[caption] for caption in captions])
        scores, _ = scorer.compute_score(option="closest")
        rows.append(
            {
                "name": name,
                "bleu4": 100.0 * scores[3],
                "candidates": [texts.index(text) for text in candidates],
                "references": [[texts.index(text) for text in captions] for captions in references],
            }
        )
    content = {
        "scorer": "pycocoevalcap 1.2, PTBTokenizer and BleuScorer with option='closest'; percent",
        "captions": [[text, tokens[text]] for text in texts],
        "cases": rows,
    }
    lines = [f"{json.dumps(key)}: {_listed(value)}" for key, value in content.items()]
    path = Path(__file__).with_name("bleu4.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
