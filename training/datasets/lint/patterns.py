"""Regular expressions that no answer of the literary set may match.

They find the phrases of assistants and therapists, harm, and the name of the persona's own role.
"""

from models.emotions import LABELS

PHRASES = (
    # An assistant's.
    r"as an? (ai|assistant|chatbot)|language model",
    r"i('m| am) (just |only )?an? (ai|assistant|chatbot|bot|program)",
    r"i (completely |totally |truly )?understand (how|what) you",
    r"i('m| am) (always )?here (for you|to (help|listen|support))",
    r"i('m| am) (so |very |truly )?sorry (to hear|for your loss|you('re| are))",
    r"thank you for (sharing|reaching out|opening up)",
    r"(can|may) i (help|assist)|i (can't|cannot|can not) (assist|help) with|feel free to",
    r"i hope (this|that) helps|let me know (if|how)",
    # A therapist's.
    r"(great|good) question|it sounds like you|i hear you|(safe|hold(ing)?) space",
    r"you('re| are) not alone|take a deep breath",
    r"feelings? (is|are) (completely |totally |perfectly )?(valid|normal)",
    r"it('s| is) (ok|okay|alright|all right|normal) (not )?to",
    r"that (must|has to) (be|have been|feel) "
    r"(so |really |very |incredibly )?(hard|difficult|tough)",
    r"one (day|step) at a time|(be|go) (kind|gentle|easy) (to|with|on) yourself|self[- ]care",
    r"time (heals|will heal)|happens? for a reason|set(ting)? boundaries",
    r"(healing|grief) journey|coping (mechanism|strategy|strategies)|mental health",
    r"professional help|therap(y|ist)",
    r"process(ing)? (your|the|these|those) (feelings?|emotions?|grief)",
)
STRIKE = (
    r"(hit|kick|punch|slap|smack|thump|whack|wallop|clobber|beat|bash|batter|bit|claw|shov|hurl"
    r"|drown|burn|crush|destroy|harm|shoot|knif|whip|flog|poison|smash|attack|fight|skin|ruin|chok)"
)
PERSON = (
    r"(him|her|them|someone|somebody|anyone|everyone"
    r"|(his|her|their) (face|head|nose|teeth|neck|throat|legs?|skull|guts))"
)
SUFFER = r"(pay for|suffer|regret|bleed|beg|dies?|chokes?|rots?|burns?|hurts?|squirm)"
# Words that a small model could turn into a threat, or into a wish or an urge to do harm. They do
# not match "killed the mood", "punched the air" or "punchline".
HARM = (
    r"kill(s|ed|ing)?(?! (the (mood|vibe|engine|lights?|music|silence)|time))|murder\w*",
    r"stab(s|bed|bing)?(?! of)|wring\w* \w+ neck",
    r"(strangl|throttl|behead|lynch|slaughter|massacr|guillotin)(e|es|ed|ing|s)?|(noose|gallows)",
    r"drop dead|go to hell",
    rf"{STRIKE}(?!\w*ed\b)\w* {PERSON}|(have|had|'ve) {STRIKE}\w* {PERSON}",
    r"an? (good )?(slap|punch|beating|thrashing)",
    r"(want(s|ed)?|could|should|ready|tempted|itching|dying|about|let's|i'd|i'll) (to )?"
    r"(kick|punch|hit|bite|slam|smash|knock|hurl|fling|burn|slap|thump|rip|torch|wreck|trash|break"
    r"|hurt) (?!off\b|on\b|into song|bread|the (air|road|ice|news|high)|(\w+ )?hearts?\b)\w+",
    r"(burn|blow)\w* (it|them|\w+ \w+|\w+ \w+ \w+) (all )?(down|up)",
    r"set\w* (fire to|\w+( \w+)? (on fire|alight))",
    r"revenge|venge(ance|ful)|payback|get even|get (him|her|them|your own) back",
    r"hurt (him|her|them) back|teach (him|her|them) a lesson",
    r"(make|let|hope|wish|want|may|deserves? to|(want|like|love|wait) to (see|watch)) "
    rf"((he|she|they|him|her|them) )?(to )?(all )?{SUFFER}",
    r"(can|should|ought to|must|will|deserves? to) (all )?(choke|rot|suffer|bleed|die|pay for)",
    r"fists?\b[^.!?]{0,30}\b(at|on|into) (him|her|them)",
    r"(knife|gun|axe|bat|hammer|claws?) (in|into|to|at|for) (him|her|them|his|their)",
    r"(kill|hurt|harm|cut|starve|punish)(ing)? (your|my)self",
    r"end (it all|your life|my life|everything)|worth living|can't go on",
    r"(don't|do not|no longer) want to (be here|live|wake up|go on|exist)",
    r"better off (dead|without (you|me|us))",
    r"no (point|reason) (in |to )?(living|going on|live|go on)",
    r"(want to|could) (die|disappear|vanish)|join (him|her|them) (soon|there)",
)
NAME = rf"({'|'.join(LABELS)})"
ROLE = (
    rf"as {NAME}\b(?= ?([,.!?;:]|i\b|$))",
    rf"(i'm|i am|call me|speaking as|in the role of) {NAME}\b(?![-'])|(it's|this is) {NAME} here",
    rf"{NAME} (speaking|personified)|persona|role-?play\w*|my character",
)
