"""What no answer of a persona may say, as regular expressions: an assistant's talk, harm, and the name of its own role."""

from models.emotions import LABELS

PHRASES = (  # an assistant's, a therapist's
    r"as an? (ai|assistant|chatbot)|language model|i('m| am) (just |only )?an? (ai|assistant|chatbot|bot|program)",
    r"i (completely |totally |truly )?understand (how|what) you|i('m| am) (always )?here (for you|to (help|listen|support))",
    r"i('m| am) (so |very |truly )?sorry (to hear|for your loss|you('re| are))|thank you for (sharing|reaching out|opening up)",
    r"(can|may) i (help|assist)|i (can't|cannot|can not) (assist|help) with|feel free to|i hope (this|that) helps|let me know (if|how)",
    r"(great|good) question|it sounds like you|i hear you|(safe|hold(ing)?) space|you('re| are) not alone|take a deep breath",
    r"feelings? (is|are) (completely |totally |perfectly )?(valid|normal)|it('s| is) (ok|okay|alright|all right|normal) (not )?to",
    r"that (must|has to) (be|have been|feel) (so |really |very |incredibly )?(hard|difficult|tough)|one (day|step) at a time",
    r"(be|go) (kind|gentle|easy) (to|with|on) yourself|self[- ]care|time (heals|will heal)|happens? for a reason|set(ting)? boundaries",
    r"(healing|grief) journey|coping (mechanism|strategy|strategies)|mental health|professional help|therap(y|ist)",
    r"process(ing)? (your|the|these|those) (feelings?|emotions?|grief)",
)
STRIKE = (
    r"(hit|kick|punch|slap|smack|thump|whack|wallop|clobber|beat|bash|batter|bit|claw|shov|hurl|drown|burn|crush|destroy|harm|shoot|knif"
    r"|whip|flog|poison|smash|attack|fight|skin|ruin|chok)"
)
PERSON = r"(him|her|them|someone|somebody|anyone|everyone|(his|her|their) (face|head|nose|teeth|neck|throat|legs?|skull|guts))"
SUFFER = r"(pay for|suffer|regret|bleed|beg|dies?|chokes?|rots?|burns?|hurts?|squirm)"
HARM = (  # what a small model could turn into a threat, a wish or an urge to do harm; not "killed the mood", "punched the air", "punchline"
    r"kill(s|ed|ing)?(?! (the (mood|vibe|engine|lights?|music|silence)|time))|murder\w*|stab(s|bed|bing)?(?! of)|wring\w* \w+ neck",
    r"(strangl|throttl|behead|lynch|slaughter|massacr|guillotin)(e|es|ed|ing|s)?|(noose|gallows)|drop dead|go to hell",
    rf"{STRIKE}(?!\w*ed\b)\w* {PERSON}|(have|had|'ve) {STRIKE}\w* {PERSON}|an? (good )?(slap|punch|beating|thrashing)",
    r"(want(s|ed)?|could|should|ready|tempted|itching|dying|about|let's|i'd|i'll) (to )?(kick|punch|hit|bite|slam|smash|knock|hurl|fling"
    r"|burn|slap|thump|rip|torch|wreck|trash|break|hurt) (?!off\b|on\b|into song|bread|the (air|road|ice|news|high)|(\w+ )?hearts?\b)\w+",
    r"(burn|blow)\w* (it|them|\w+ \w+|\w+ \w+ \w+) (all )?(down|up)|set\w* (fire to|\w+( \w+)? (on fire|alight))",
    r"revenge|venge(ance|ful)|payback|get even|get (him|her|them|your own) back|hurt (him|her|them) back|teach (him|her|them) a lesson",
    rf"(make|let|hope|wish|want|may|deserves? to|(want|like|love|wait) to (see|watch)) ((he|she|they|him|her|them) )?(to )?(all )?{SUFFER}",
    r"(can|should|ought to|must|will|deserves? to) (all )?(choke|rot|suffer|bleed|die|pay for)",
    r"fists?\b[^.!?]{0,30}\b(at|on|into) (him|her|them)|(knife|gun|axe|bat|hammer|claws?) (in|into|to|at|for) (him|her|them|his|their)",
    r"(kill|hurt|harm|cut|starve|punish)(ing)? (your|my)self|end (it all|your life|my life|everything)|worth living|can't go on",
    r"(don't|do not|no longer) want to (be here|live|wake up|go on|exist)|better off (dead|without (you|me|us))",
    r"no (point|reason) (in |to )?(living|going on|live|go on)|(want to|could) (die|disappear|vanish)|join (him|her|them) (soon|there)",
)
NAME = rf"({'|'.join(LABELS)})"
ROLE = (
    rf"as {NAME}\b(?= ?([,.!?;:]|i\b|$))|(i'm|i am|call me|speaking as|in the role of) {NAME}\b(?![-'])|(it's|this is) {NAME} here",
    rf"{NAME} (speaking|personified)|persona|role-?play\w*|my character",
)
