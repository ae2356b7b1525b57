"""Measures of generated answers that need no model. Words are lower-case, without punctuation; an apostrophe inside a word is kept."""

import re
from collections.abc import Sequence

from models.emotions import Emotion

REPETITION_WORDS = 4
ECHO_WORDS = 6
LETTER = r"[^\W\d_]"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

# Words that name an emotion, whole; `*` stands for any letters. What only shows one (tears, smile, jaw) is not here.
EMOTION_WORDS = {
    Emotion.SADNESS: """
        sad sadder saddest sadly sadness sadden* unhapp* grief* grieve grieves grieved griever* grieving* grievous* sorrow* heartbreak*
        heart-break* heartbroken* heart-broken* heartache* heartaching* broken-hearted* brokenhearted* heavy-hearted* miserabl* misery
        miseries mourn* melanchol* depress* gloom* despair* despond* deject* downcast downhearted* forlorn* woe woes woeful* woebegone
        anguish* devastat* bereav* bereft wistful* lonely lonelier loneliest loneliness lonesome* homesick* glum* disappoint* regret*
        tearful*
        """,
    Emotion.JOY: """
        joy joys joyful* joyless* joyous* overjoyed enjoy* happy happier happiest happily happiness delight* glad gladder gladdest gladly
        gladness gladden* cheer cheers cheered cheering cheerful* cheery cheerier cheeriest cheerily elat* ecsta* bliss* thrill* excite*
        exciting* jubila* merry merrier merriest merrily merriment euphori* glee gleeful* pleased pleasure* exult* exhilarat* rejoic*
        contented* contentment jolly jollier jolliest jollity
        """,
    Emotion.LOVE: """
        love loves loved lover lovers loving* lovin lovable loveable lovably lovely lovelier loveliest loveliness loveless* lovesick*
        lovestruck luv luvs beloved unloved unlovable unloving adore adores adored adorer* adoring* adorable adorably adoration dear dears
        dearer dearest dearly dearness endear* darling* affection* fond fonder fondest fondly fondness cherish* tender tenderer tenderest
        tenderly tenderness tender-hearted* devoted* devotion* passion* smitten infatuat* sweetheart* enamoured enamored amorous* besotted
        """,
    Emotion.ANGER: """
        anger* angry angrier angriest angrily rage rages raged raging* outrag* enrage* enraging* mad madder maddest madly madness madden*
        fury furies furious* infuriat* irate* livid* wrath* seethe* seething* fume fumed fuming* hate hates hated hater* hating hateful*
        hatred* resent* annoy* irritat* irritab* frustrat* exasperat* indignan* indignation incensed hostil* aggravat* bad-tempered
        ill-tempered hot-tempered pissed apoplectic scandalis* scandaliz*
        """,
    Emotion.FEAR: """
        fear fears feared fearing fearful* fearless* fearsome* afraid unafraid scare scares scared scaredy scaring scary scarier scariest
        scarily terror* terrify* terrifies terrified terrifying* frighten* fright frights frightful* affright* dread dreads dreaded
        dreading dreadful* panic* horror* horrif* anxious* anxiet* nervous* worry worries worried worrying* worrier* worrisome alarmed
        alarming* petrif* phobi* apprehens* spook* uneasy uneasier uneasily uneasiness unease trepidation fretful* aghast
        """,
    Emotion.SURPRISE: """
        surpris* unsurpris* astonish* astound* amaze amazes amazed amazedly amazement amazing* shock* stun stuns stunned stunning* startl*
        flabbergast* gobsmack* dumbfound* dumbstruck bewilder* speechless* unbeliev* disbelief* disbeliev* incredul* thunderstruck
        awestruck wonderstruck nonplussed baffle* baffling* jaw-dropping* boggle*
        """,
}


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("’", "'"))


def distinct(texts: Sequence[str], n: int) -> float:
    """Different word n-grams over all of them (Li et al. 2016, https://arxiv.org/abs/1510.03055); 0 where there are none.

    It falls with the number of texts and their length: compare only arms that answer the same messages.
    """
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(text: str) -> float:
    """Share of the 4-grams that stood in the text before (seq-rep-4, Welleck et al. 2020, https://arxiv.org/abs/1908.04319)."""
    grams = _grams(text, REPETITION_WORDS)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def echoes(answer: str, message: str) -> bool:
    """Whether 6 words of the message stand in the answer in a row. A shorter message cannot be echoed."""
    return not set(_grams(answer, ECHO_WORDS)).isdisjoint(_grams(message, ECHO_WORDS))


def mask_emotion_words(text: str, mask: str = "something") -> str:
    """The text with each word that names one of the six emotions replaced, whatever its case; `joy's` becomes `something's`."""
    return _EMOTION_WORD.sub(lambda _: mask, text)


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    found = words(text)
    return list(zip(*(found[start:] for start in range(n)), strict=False))


def _pattern(table: dict[Emotion, str]) -> re.Pattern[str]:
    """One alternation of all words; neither letter nor digit may stand beside it, an underscore may (`_love_`)."""
    alternatives = "|".join(re.escape(word).replace(r"\*", f"{LETTER}*") for text in table.values() for word in text.split())
    return re.compile(rf"(?<![^\W_])(?:{alternatives})(?![^\W_])", re.IGNORECASE)


_EMOTION_WORD = _pattern(EMOTION_WORDS)
