"""Words of a text, and the words that name an emotion.

Words are lower-case and without punctuation; an apostrophe inside a word is kept.
"""

import re
from collections.abc import Iterable

from models.emotions import Emotion

LETTER = r"[^\W\d_]"
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

# Whole words that name an emotion; `*` stands for any letters. Words that only show one (tears,
# smile, jaw) are not listed.
EMOTION_WORDS = {
    Emotion.SADNESS: """
        sad sadder saddest sadly sadness sadden* unhapp* grief* grieve grieves grieved griever*
        grieving* grievous* sorrow* heartbreak* heart-break* heartbroken* heart-broken* heartache*
        heartaching* broken-hearted* brokenhearted* heavy-hearted* miserabl* misery miseries mourn*
        melanchol* depress* gloom* despair* despond* deject* downcast downhearted* forlorn* woe woes
        woeful* woebegone anguish* devastat* bereav* bereft wistful* lonely lonelier loneliest
        loneliness lonesome* homesick* glum* disappoint* regret* tearful*
        """,
    Emotion.JOY: """
        joy joys joyful* joyless* joyous* overjoyed enjoy* happy happier happiest happily happiness
        delight* glad gladder gladdest gladly gladness gladden* cheer cheers cheered cheering
        cheerful* cheery cheerier cheeriest cheerily elat* ecsta* bliss* thrill* excite* exciting*
        jubila* merry merrier merriest merrily merriment euphori* glee gleeful* pleased pleasure*
        exult* exhilarat* rejoic* contented* contentment jolly jollier jolliest jollity
        """,
    Emotion.LOVE: """
        love loves loved lover lovers loving* lovin lovable loveable lovably lovely lovelier
        loveliest loveliness loveless* lovesick* lovestruck luv luvs beloved unloved unlovable
        unloving adore adores adored adorer* adoring* adorable adorably adoration dear dears dearer
        dearest dearly dearness endear* darling* affection* fond fonder fondest fondly fondness
        cherish* tender tenderer tenderest tenderly tenderness tender-hearted* devoted* devotion*
        passion* smitten infatuat* sweetheart* enamoured enamored amorous* besotted
        """,
    Emotion.ANGER: """
        anger* angry angrier angriest angrily rage rages raged raging* outrag* enrage* enraging* mad
        madder maddest madly madness madden* fury furies furious* infuriat* irate* livid* wrath*
        seethe* seething* fume fumed fuming* hate hates hated hater* hating hateful* hatred* resent*
        annoy* irritat* irritab* frustrat* exasperat* indignan* indignation incensed hostil*
        aggravat* bad-tempered ill-tempered hot-tempered pissed apoplectic scandalis* scandaliz*
        """,
    Emotion.FEAR: """
        fear fears feared fearing fearful* fearless* fearsome* afraid unafraid scare scares scared
        scaredy scaring scary scarier scariest scarily terror* terrify* terrifies terrified
        terrifying* frighten* fright frights frightful* affright* dread dreads dreaded dreading
        dreadful* panic* horror* horrif* anxious* anxiet* nervous* worry worries worried worrying*
        worrier* worrisome alarmed alarming* petrif* phobi* apprehens* spook* uneasy uneasier
        uneasily uneasiness unease trepidation fretful* aghast
        """,
    Emotion.SURPRISE: """
        surpris* unsurpris* astonish* astound* amaze amazes amazed amazedly amazement amazing*
        shock* stun stuns stunned stunning* startl* flabbergast* gobsmack* dumbfound* dumbstruck
        bewilder* speechless* unbeliev* disbelief* disbeliev* incredul* thunderstruck awestruck
        wonderstruck nonplussed baffle* baffling* jaw-dropping* boggle*
        """,
}


def words(text: str) -> list[str]:
    """Split a text into lower-case words."""
    return _WORD.findall(text.lower().replace("’", "'"))


def word_ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    """Return the runs of `n` consecutive words, in their order."""
    found = words(text)
    return list(zip(*(found[start:] for start in range(n)), strict=False))


def emotion_word_pattern(emotions: Iterable[Emotion]) -> re.Pattern[str]:
    """Compile a pattern that finds the words that name one of the emotions.

    A letter or digit next to a word prevents a match, an underscore does not (`_love_`).
    """
    entries = [entry for emotion in emotions for entry in EMOTION_WORDS[emotion].split()]
    alternatives = "|".join(re.escape(entry).replace(r"\*", f"{LETTER}*") for entry in entries)
    return re.compile(rf"(?<![^\W_])(?:{alternatives})(?![^\W_])", re.IGNORECASE)
