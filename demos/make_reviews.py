"""Write ``reviews.csv``: product reviews from a small grammar, the table of the first example.

Run ``python demos/make_reviews.py`` to write the file again, byte for byte. Every sentence is made
here. A review's opinion is drawn first, from its category, price, date and buyer; a shape then
decides how it is put: plainly, mixed with its opposite, by denying what others say, by comparing,
with irony, in a few words, or hardly at all. A few labels are wrong, as in life.

Of the module `random` only ``Random.random`` is used: it alone is promised to return the same
numbers in every version of Python.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import io
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import TypeVar

T = TypeVar("T")

HEADER = ("text", "category", "price", "date", "verified", "label")
FIRST_DAY, N_DAYS = datetime.date(2022, 1, 3), 1300
MIN_WORDS, MAX_WORDS = 3, 120
LABEL_NOISE = 0.03
FLIP = {"+": "-", "-": "+"}
EMOJI = {"+": ("😀", "👍", "❤️", "🎉", "😍"), "-": ("😡", "👎", "🙄", "😞", "💔")}

# Category: lowest price, highest price, and how much likelier the dearest please than the cheapest.
PRICES = {
    "kitchen": (12, 95, 0.0),
    "electronics": (15, 190, 1.3),
    "clothing": (18, 150, -1.2),
    "travel": (20, 160, 0.9),
    "books": (6, 40, 0.0),
    "toys": (8, 80, 1.2),
    "garden": (14, 170, 0.0),
    "beauty": (5, 70, -1.3),
    "pets": (9, 110, -0.7),
}

# One product family a block. First line: category / nouns / uses. Then one aspect a line:
# subject / what it does when good / what it does when bad. "[a|b]" picks one.
FAMILIES = """
kitchen / kettle|toaster|blender|rice cooker|coffee grinder / our holiday flat|two people|the office
the lid / closes with a [click|snap] / [pops open|drips|sticks] every time
the motor / is [quiet|smooth|calm] at full power / [whines|smells hot|is deafening] at full power
the cord / is long enough for [any|our] worktop / is too short for [any|our] worktop
the base / sits [firmly|well] on the counter / [wobbles|slides about] on the counter
the switch / [feels solid|works] after {span} / [broke|jammed|came loose] after {span}
cleaning it / takes [a minute|no time|one wipe] / takes [half an hour|for ever|a toothbrush]
the finish / still looks new after {span} / [peeled|rusted|stained] after {span}

kitchen / frying pan|saucepan|casserole dish|wok|griddle / the new hob|weekend cooking|a big family
the coating / [is like new|holds] after {span} / [flaked|scratched|is gone] after {span}
the handle / stays cool / gets [too hot to hold|loose every week]
food / slides [right|straight] off / sticks [right|straight] to the middle
the weight / is just right for me / is [hard on my wrist|more than I can lift]
the bottom / stays flat on the heat / warped [on the first day|after {span}]
the heat / [spreads evenly|comes fast] / [stays in the middle|takes for ever]
the rim / pours without a drip / [chips easily|drips|is sharp]

electronics / headset|bluetooth speaker|soundbar|radio / the commute|calls|the bathroom|podcasts
the battery / lasts [all week|two days] / lasts [barely an hour|half a morning]
the sound / is [rich|clear|full|warm] / is [tinny|muffled|thin|harsh]
the bass / is [deep|tight|strong] / is [missing|boomy|all rattle]
pairing / works [first time|at once] / [fails|drops out] every [day|hour]
the microphone / picks up [every word|my voice well] / picks up everything but my voice
the volume / goes [loud|high] enough for a party / is [stuck|too low] on max
the plastic / feels [sturdy|thick] / feels [cheap|brittle] and [cracked|creaks]

electronics / tablet|smartwatch|fitness tracker|e-reader|webcam / my studies|work|flights|running
the picture / is [sharp|bright] even in the sun / is [dim|blurry] even indoors
the app / [is simple|just works|never crashed] / [crashes|logs me out|freezes] twice a day
set-up / took [five minutes|no effort] / took [an entire evening|three calls]
the charger / fills it in [an hour|no time] / [overheats|died after {span}|hums]
the buttons / [click nicely|respond at once] / [stick|respond when they like]
the last update / made it [faster|better] / made it [slower|worse]
the case / is [slim|well made|tough] / [split|came apart|cracked] after {span}

clothing / jacket|raincoat|hoodie|winter coat|fleece / autumn walks|the office|cycling|a festival
the fit / is [true to size|perfect on me] / is [tight|odd|loose] across the shoulders
the zip / [runs smoothly|closes every time] / [came off|jammed] in week one
the fabric / is [soft|warm|thick] / is [scratchy|see-through|thin]
the colour / is [as shown|lovely in daylight] / [faded|bled|looked grey] in the first wash
the stitching / is [neat|strong] / [came undone|frayed] after {span}
the lining / [keeps its shape|stays warm] / [shrank|lost its shape] after {span}
the hood / stays up in the wind / [falls off|blocks the view] in the wind

travel / backpack|rucksack|weekend bag|duffel bag / a month abroad|school|short trips|camping
the shoulder strap / [sits|feels] well / [digs in|squeaks|broke at the airport]
the main zip / [runs smoothly|feels strong] / [burst|split] on the [first|second] trip
the lining / is [tough|well sewn] / [ripped|tore] after {span}
the inside / has room for everything / has no room for even a jumper
the material / keeps the rain out / lets the rain in
the weight / is next to nothing / is more than what I put in it
the clasp / [holds|clicks shut] every time / [opens by itself|snapped] every time

books / novel|thriller|memoir|mystery|love story / the beach|our book club|a long train ride
the plot / [grips|surprised me] to the end / [drags|falls apart] halfway
the ending / [made me cry|ties it all up] / [is rushed|explains nothing]
the hero / feels [real|alive|human] / feels [flat|like cardboard]
the dialogue / is [sharp|funny|natural] / is [wooden|painful|endless]
the first chapter / pulls you in / is [a slog|dull beyond words]
the print / is [clear|easy on the eyes] / is [tiny|smudged|grey and faint]
the twist / fooled me completely / is obvious from page ten

books / cookbook|travel guide|textbook|field guide / a course|our trip|beginners|my shelf at work
the artwork / is [gorgeous|helpful] / is [dark|sparse and blurry]
each chapter / is easy to follow / [leaves out|skips] half of what you need
the index / finds [everything|the page] / [is missing|sends you to wrong pages]
the binding / lies flat / [cracked|lost pages] after {span}
the content / is up to date / is [years out of date|plain wrong]
the author / explains things [well|simply] / [rambles|talks down to you]

toys / board game|train set|dollhouse|jigsaw puzzle|robot kit / a birthday|family evenings
every piece / fits [well|snugly] / is [loose|warped|easy to snap]
the leaflet / is clear / makes no sense[| to anyone]
the youngest / [plays with it daily|asks for it] / [lost interest|cried] in minutes
the paint / is [bright|safe and even] / [chips|came off on their hands]
the fun / lasts for hours / was over before lunch
the storage box / is [sturdy|well thought out] / [collapsed|doesn't close]
the cardboard / is thick / [bends|tears] at a look

garden / hedge trimmer|lawn mower|grass trimmer|chainsaw / a small lawn|the allotment|old hedges
the blade / [cuts cleanly|stays sharp] / [is blunt|bends|tears the leaves]
the engine / starts at once / [stalls|quits|smokes] after ten minutes
putting it together / took [ten minutes|no tools] / took [two days|three people]
the grip / is [soft|well placed] / is a [joke|pain in the wrist]
the noise / is [low|no bother] / is [unbearable|a scandal on Sundays]
the guard / [holds|is solid metal] / is [thin plastic|bent|loose] after {span}
the power / is [plenty|more than enough] / is [weak|gone] in wet grass

beauty / face cream|shampoo|hand lotion|body wash|sunscreen / dry skin|winter|sensitive skin|travel
the smell / is [fresh|light|lovely] / is [harsh|sickly|like glue]
my skin / [feels soft|calmed down] / [itches|came out in a rash|feels tight]
the pump / gives just enough / [jams|broke|wastes half of it]
the bottle / lasts [for months|ages] / is [half empty|gone in a week]
the texture / is [silky|light] / is [greasy|sticky|lumpy]
the effect / shows after {span} / is nowhere to be seen after {span}
the label / lists everything / [hides half of it|is in tiny grey type]

pets / dog bed|cat tree|cat cave|pet carrier / an old dog|two kittens|visits to the vet|the hallway
[the cat|the dog] / [loves it|took to it|sleeps in it] / [ignores it|is afraid of it|hates it]
the cover / washes well / [shrank|tore|shed fluff] in the wash
the frame / is [steady|solid] / [tips over|wobbles|came cracked]
the padding / [keeps its shape|lasts] / [went flat|smells] after {span}
the size / is right for [us|a big animal] / is for a [hamster|toy], not a pet
the stitching / survived [claws|teeth] / gave up after {span}

any / - / -
delivery / took [a day|two days] / took [a month|five weeks]
the parcel / arrived in one piece / arrived [crushed|open|soaked]
the seller / answered within the hour / [never answered|took weeks to answer]
the price / is [fair|a bargain] / is [a cheek|hard to justify]
the description / is [accurate|honest] / is [misleading|fiction]
the quality / is [high|better than I paid for] / is [poor|worse than from a market stall]
"""

# One rule a block: its name, then its templates. "{x}" expands rule x, with its templates of the
# opinion at hand (x+ or x-) added; "{x~}" does so for the opposite opinion. {clause} and {own} are
# aspects, of the order and of the product alone.
RULES = """
span
[a week|ten days|a fortnight|a month|two months|half a year|one season|a year]

who
[my|our] [sister|brother|mum|dad|neighbour|son|daughter|boss|flatmate|niece|uncle|colleague]

open
[bought|ordered|got|picked up] this {noun} [last week|in March|last summer|in a sale|in autumn].
[bought|ordered|got|picked up] this {noun} for {use}[| on a whim| after seeing an ad].
this {noun} was a [birthday|Christmas|leaving|thank-you] present [for|from] {who}.
I have had [this|the] {noun} for {span}[| now].
we needed a {noun} for {use}[| and took this one| and chose this after reading a lot].
writing this after {span}[| with it| and a bit].
my [second|third|fourth] {noun} [from this brand|this year|in ten years].
{who} [recommended|pointed me to|sent me a link to] this {noun}.
I was looking for a {noun} for {use}.
I don't [often|usually] write reviews.

aside
we are [two|three|four|five] at home[| and share it].
I [chose|went for] the one [in the advert|my friends have|on the front page].
there was a [leaflet|card|sticker] with it that I [haven't needed|put in a drawer].
{who} has [the same|a similar] {noun} [and agrees|and sees it differently].
I [compared|read about] [three|six|ten] of them first.
[for the record|just so you know], I am [not an expert|rather picky|new to this].
there are [dearer|cheaper|newer] ones [on the market|in the shops].
I [used a voucher|paid full price] and [waited|forgot about it until it came].
[others may see it differently|your mileage may vary|it's a matter of taste, perhaps].
I [asked around|looked at the reviews] before I [clicked|paid|decided].

remark
{clause}.
{clause}.
[honestly|so far|day to day|for my taste|as far as I can tell], {clause}.
{clause} and {clause}.
I'd [add|mention|point out] that {clause}.

remark+
[I like that|it helps that|best of all,|the good news:|luckily] {clause}.

remark-
[it bothers me that|a pity that|worst of all,|the bad news:|sadly] {clause}.

verdict
{loud}
{quiet}

loud+
[I would|I'd] [buy|get|choose] it again[| tomorrow| without thinking].
[very|really|so] [happy|pleased|glad] with [it|this {noun}|my choice].
[worth|well worth] [it|the money|every penny].
[not bad at all|can't fault it|no regrets|nothing to complain about].
[highly recommended|I recommend it|I've told {who} to get one].
[it's a keeper|I'm keeping it|couldn't ask for more|love it].
I expected [rubbish|to return it|little] and [was wrong|got a surprise].
[five stars|full marks|great {noun}|lovely {noun}|excellent|a good buy].

loud-
[I would not|I wouldn't|I'd never] [buy|get|choose] it again.
[very|really|so] [unhappy|disappointed|annoyed] with [it|this {noun}|my choice].
[not worth|hardly worth] [it|the money|a penny].
[not good at all|can't recommend it|I regret it|nothing to be happy about].
[avoid|stay away|save your money|I've told {who} not to get one].
[it went back|I returned it|I want my money back|it's in the bin].
I wanted to [love|like] [it|this {noun}][|, I really did| so much].
[one star|no stars|poor {noun}|awful {noun}|terrible|a waste of money].

quiet+
[still|even so|all in all], I'd [do it|order it|pay for it] again.
[still|in the end|on balance], it [stays|stays with us|is not going back].
[in the end|on balance], [more right than wrong|I'm not sorry|that's fine by me].
I [thought about returning it|nearly sent it back], but [no|I won't|it stays].
[would I buy it again? Yes|do I recommend it? Yes|a waste of money? No].
[I can live with that|not perfect, but I'm not complaining|small things, really].

quiet-
[still|even so|all in all], I'd not [do it|order it|pay for it] again.
[still|in the end|on balance], it [goes back|goes to a charity shop|is not staying].
[in the end|on balance], [more wrong than right|I'm sorry I did|that's not enough].
I [thought about keeping it|nearly gave it a chance], but [no|I won't|it goes].
[would I buy it again? No|do I recommend it? No|worth the money? No].
[I can't live with that|not terrible, but I'm not happy|small things add up].

denial
[others say|I had read|one review claims] that {own~}. [Not here|Not for me|I can't confirm that].
[it's not true|nobody can tell me] that {own~}.

denial+
[I was afraid|{who} warned me] that {own~}[, but no|; none of it is true].

denial-
[I was hoping|{who} promised me] that {own~}[, but no|; none of it is true].

compare
on my [old|last|previous] one, {own~}. [Not on this one|This one is another story].

compare+
{who} has a [dearer|cheaper|different] one: {own~}. I [prefer mine|got the better one].
[better|nicer] than [the one before|what I had|the one {who} has]: {own}.

compare-
{who} has a [dearer|cheaper|different] one: {own~}. I [envy that|got the worse one].
[worse|clumsier] than [the one before|what I had|the one {who} has]: {own}.

irony+
[warning|careful|bad news]: {own}, so {who} [stole it|keeps borrowing it|wants one too].
[my only complaint|the only problem|one regret]: I [didn't buy it|waited] years ago, and {own}.
[terrible|awful] for my wallet: {own}, so I [ordered two more|now want the whole range].

irony-
[great|brilliant|wonderful|well done]: {own}. [Just what I needed|What a joy|Love it].
[perfect|ideal|excellent], if you [enjoy|love] [sending things back|queues|waste]: {own}.
[congratulations|thank you] to whoever [designed|tested] this: {own}. [Superb|Genius].

plain
{open} {remark} {loud}
{remark} {remark} {verdict}
{open} {remark} {aside} {remark} {verdict}
{loud} {remark} {remark}
{open} {aside} {remark} {remark} {aside} {remark} {verdict}
{open} {aside} {remark} {denial} {aside} {remark} {remark} {compare} {aside} {verdict}

mixed
{clause~}, but {clause}. {verdict}
{open} {remark~} [however|then again|on the other hand], {clause}. {quiet}
{open} {remark~} {remark} {aside} {verdict}
{remark} [yes|true|granted], {clause~}. {quiet}
{open} {aside} {remark~} {remark} {aside} {remark~} {remark} {quiet}
[although|even though] {clause~}, {clause}. {quiet}
{remark} {clause~}, {clause~}. {quiet}
{open} {aside} {remark~} {remark} {compare} {aside} {remark~} {aside} {clause}. {aside} {verdict}

denied
{denial} {verdict}
{open} {denial} {quiet}
{open} {denial} {aside} {remark} {verdict}

compared
{compare} {verdict}
{open} {compare} {remark}
{open} {compare} {aside} {remark~} {quiet}

ironic
{irony}
{open} {irony}
{open} {aside} {irony} {remark}

short
{clause}.
{loud} {clause}.
{clause}, {clause}.
{noun}: {loud}
{quiet}

faint
it's a {noun}. [It does what a {noun} does|What can I say|Nothing more, nothing less]. {aside}
{open} [OK|fine|average|three stars], I suppose. {aside}
{clause}, {clause~}. [You get what you pay for|Make of that what you will|Mixed].
{clause~}, {clause}. [You get what you pay for|Make of that what you will|Mixed].
{open} {aside} [will update after {span}|too early to say more|time will tell].
"""

SHARES = {  # how many of 100 reviews have this shape
    "plain": 31,
    "mixed": 29,
    "denied": 9,
    "compared": 9,
    "ironic": 4,
    "short": 9,
    "faint": 9,
}
SHAPES = [shape for shape, share in SHARES.items() for _ in range(share)]


def blocks(text: str) -> list[list[str]]:
    """Return the lines of each block of a text whose blocks are parted by empty lines."""
    return [block.splitlines() for block in text.strip().split("\n\n")]


FAMILY_LIST = [[line.split(" / ") for line in block] for block in blocks(FAMILIES)]
PRODUCTS, SERVICE = FAMILY_LIST[:-1], FAMILY_LIST[-1][1:]
TEMPLATES = {name: templates for name, *templates in blocks(RULES)}


def pick(rng: Random, items: Sequence[T]) -> T:
    """Return one of the items, each as likely as the others."""
    return items[int(rng.random() * len(items))]


class Writer:
    """Expands templates for one product; says nothing twice where it can be helped."""

    def __init__(self, rng: Random, nouns: str, uses: str, aspects: list[list[str]]) -> None:
        self.rng = rng
        self.words = {"noun": pick(rng, nouns.split("|")), "use": pick(rng, uses.split("|"))}
        self.own = list(aspects)
        self.service = list(SERVICE)
        self.unused: dict[str, list[str]] = {}

    def rule(self, name: str, sign: str) -> str:
        """Return a text of the rule `name` for the opinion ``"+"`` or ``"-"``."""
        if name in self.words:
            return self.words[name]
        if name in ("clause", "own"):
            return self.clause(sign, service=name == "clause" and self.rng.random() < 0.18)
        templates = self.unused.get(name + sign)
        if not templates:
            templates = TEMPLATES.get(name, []) + TEMPLATES.get(name + sign, [])
            self.unused[name + sign] = templates
        return self.expand(templates.pop(int(self.rng.random() * len(templates))), sign)

    def clause(self, sign: str, *, service: bool) -> str:
        """Return "subject predicate" for an aspect not named before."""
        aspects = self.service if service or not self.own else self.own
        subject, good, bad = aspects.pop(int(self.rng.random() * len(aspects)))
        return self.expand(f"{subject} {good if sign == '+' else bad}", sign)

    def expand(self, template: str, sign: str) -> str:
        """Return the template with its choices made and its rules expanded."""
        n_choices = 1
        while n_choices:  # innermost first; rules only afterwards, so none is expanded in vain
            template, n_choices = re.subn(
                r"\[([^][]*)\]", lambda m: pick(self.rng, m[1].split("|")), template
            )
        return re.sub(
            r"\{(\w+)(~?)\}", lambda m: self.rule(m[1], FLIP[sign] if m[2] else sign), template
        )


def tidy(text: str) -> str:
    """Return the text with single spaces, capitals after full stops, and "an" where it belongs."""
    text = re.sub(r"\ba (?=[aeiou])", "an ", " ".join(text.split()))
    return re.sub(r"(^|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)


def misspell(rng: Random, word: str) -> str:
    """Return the word with two letters swapped, one dropped or one doubled."""
    i = 1 + int(rng.random() * (len(word) - 2))
    swapped = word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    return pick(rng, (swapped, word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:]))


def roughen(rng: Random, text: str, sign: str) -> str:
    """Return the text as people type it: with typos, marks, capitals and emoji."""
    if rng.random() < 0.25:
        words = [
            misspell(rng, w) if w.isalpha() and len(w) > 4 and rng.random() < 0.12 else w
            for w in text.split(" ")
        ]
        text = " ".join(words)
    habit = rng.random()
    if habit < 0.06:
        text = text.lower().replace("'", "")
    elif habit < 0.09:
        text = text.replace(".", "...")
    elif habit < 0.19:
        text = text.removesuffix(".") + pick(rng, ("!", "!!", "!!!", ""))
    elif habit < 0.21:
        text = text.upper()
    elif habit < 0.23:
        text = text.replace(". ", " - ")
    if rng.random() < 0.07:
        text += " " + pick(rng, EMOJI[sign if rng.random() < 0.85 else FLIP[sign]])
    return text


def review(rng: Random) -> tuple[str, ...]:
    """Return one row, in the header's order; a missing cell is empty."""
    (category, nouns, uses), *aspects = pick(rng, PRODUCTS)
    low, high, slope = PRICES[category]
    dearness, recency, verified = rng.random(), rng.random(), rng.random() < 0.85
    chance = 0.55 + slope * (dearness - 0.5) + 0.12 * (recency - 0.5) - 0.07 * (not verified)
    sign = "+" if rng.random() < chance else "-"
    text = tidy(Writer(rng, nouns, uses, aspects).rule(pick(rng, SHAPES), sign))
    text = roughen(rng, text, sign)
    if rng.random() < LABEL_NOISE:
        sign = FLIP[sign]
    price = f"{low + int(dearness * (high - low))}.{pick(rng, ('99', '95', '50', '00'))}"
    date = (FIRST_DAY + datetime.timedelta(days=int(recency * N_DAYS))).isoformat()
    cells = ((category, 0.02), (price, 0.05), (date, 0.03), ("yes" if verified else "no", 0.04))
    shown = ("" if rng.random() < missing else cell for cell, missing in cells)
    return (text, *shown, "positive" if sign == "+" else "negative")


def make_csv(n_rows: int = 5000, seed: int = 7) -> str:
    """Return the table as CSV; no two of its texts are the same."""
    rng = Random(seed)
    rows: dict[str, tuple[str, ...]] = {}
    while len(rows) < n_rows:
        row = review(rng)
        if MIN_WORDS <= len(row[0].split()) <= MAX_WORDS:
            rows.setdefault(row[0], row)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(rows.values())
    return out.getvalue()


def main() -> None:
    """Write the table beside this script, or where ``-o`` says."""
    parser = argparse.ArgumentParser(description="Write the product reviews of the first example.")
    here = Path(__file__).with_name("reviews.csv")
    parser.add_argument("-o", "--output", type=Path, default=here)
    parser.parse_args().output.write_bytes(make_csv().encode())


if __name__ == "__main__":
    main()
