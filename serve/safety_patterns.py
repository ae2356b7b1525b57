"""What the safety rules look for: plain data, one pattern a line, to be read and reviewed by people who do not program.

A pattern is words in a row, as `safety_rules.spelled_out` writes them: lower case, no apostrophes, contractions and slang spelled out by
`SPELLINGS`. A line that ends in a backslash goes on in the next.

- `a|b` is either word; `{name}` is any entry of `WORDS`; `[x]` may be missing;
- `*` is at most one word of any kind, `**` at most two, and so on; `~` is up to three of `{filler}`;
- `.` is the start or the end of a sentence, which nothing else crosses.

There is nothing in it that repeats inside something that repeats, so matching stays linear in the length of the text.
"""

from typing import Final

# What words are read as: contractions without their apostrophes, slang, common slips. Doubled letters do not matter: they are squeezed in
# texts and patterns alike, so that killl, kil and kill are one word.
SPELLINGS: Final = """
i am: im
i have: ive
i will: ill
i would: id
he is: hes
she is: shes
they are: theyre
you are: youre
they would: theyd
they will: theyll
he would: hed
it would: itd
that is: thats
they have: theyve
you would: youd
you will: youll
there is: theres
what is: whats
life is: lifes
do not: dont dnt
does not: doesnt
did not: didnt
can not: cant cannot
will not: wont
would not: wouldnt
could not: couldnt
should not: shouldnt
is not: isnt aint
are not: arent
was not: wasnt
were not: werent
have not: havent
has not: hasnt
had not: hadnt
should have: shouldve
would have: wouldve
could have: couldve
it will: itll
we have: weve
going to: gonna gunna finna gona
going: goin
want to: wanna wannna
i am going to: imma
trying to: tryna
about to: boutta
have to: gotta
you: u
your: ur
yourself: urself
people: ppl
and: n
would: wd
because: cos cuz becuz
someone: some1 sum1 smb
everyone: every1 everone
anyone: any1
forever: 4ever
though: tho
fucking: fkn fking fuckin effing
tonight: tn tonite
boyfriend: bf
girlfriend: gf
mum: mom mommy mummy mam ma
dad: daddy
please: pls plz
about: abt
i do not know: idk
killing: killin
cutting: cuttin
living: livin
dying: dyin dieing
hurting: hurtin
thinking: thinkin
kill: kll klil kyll killl
kill myself: killmyself
die: di
myself: mysefl myslef myslf mysel meself myselve mself myselfe mysef my5elf
himself: hisself himslef
herself: herslef
suicide: sucide suicde suiside suicid suacide suicied sewerslide sueicide suicice siucide scuicide
suicidal: sucidal suicidial suisidal suicidel sucicidal
want: wnat whant wnt watn
tired: tierd
exist: exsist
better: beter
alive: alife
everyone is: everybodys everyones
nobody is: nobodys
without: withought witout whithout
born: borned
hurt: hert
anymore: anymor anymroe
each other: eachother
hanging: hangin
thoughts: thoughs
to: 2
"""

WORDS: Final[dict[str, str]] = {
    "filler": """a|am|are|is|was|be|been|being|have|has|had|just|really|so|actually|honestly|literally|seriously|fucking|freaking|\
bloody|damn
        genuinely|truly|kinda|sorta|kind|of|sometimes|often|always|still|even|only|now|again|already|almost|constantly|secretly|definitely
        probably|also|do|did|swear|to|god|please|badly|desperately|finally|fully|both|then|simply|all|legit|lowkey|were|highkey|right|\
absolutely|the|keep|kept|get|got|getting|quite|very|that|totally|pretty""",
    "anymore": "anymore\nany more\nany longer\nno more",
    "nobody": "nobody|none|noone\nno one\nnot a single person",
    # the ones spoken of
    "myself": "myself\nmy self",
    "themselves": "himself|herself|themselves|themself|themselfs|yourself|yourselves\nhim self\nher self\nthem self\nyour self",
    "whose": "my|your|his|her|their|our|the|that|this|these|those|some|every|a|an|all",
    "relation": """mum|mother|dad|father|stepdad|stepmum|stepfather|stepmother|parents|brother|brothers|sister|sisters|bro|sis|son|sons|\
daughter
        kid|kids|child|children|baby|babies|wife|husband|partner|boyfriend|girlfriend|ex|boss|manager|coworker|coworkers|colleague|\
colleagues
        teacher|teachers|professor|tutor|coach|classmate|classmates|bully|bullies|roommate|flatmate|housemate|landlord|neighbour|\
neighbours
        neighbor|neighbors|friend|friends|mate|mates|bestie|uncle|aunt|cousin|nan|grandma|grandad|grandpa|gran|family|supervisor|principal
        headteacher|doctor|nurse|cop|cops|police|officer|guy|guys|man|men|woman|women|girl|girls|boy|boys|bitch|bitches|bastard|\
bastards|cunt
        cunts|prick|asshole|assholes|arsehole|dickhead|idiot|idiots|fucker|fuckers|motherfucker|scum|people|person|students|student|pupil
        niece|nephew|rapist|abuser|dog|cat|puppy|kitten|stranger|strangers|staff|lad|lads|bloke|dude|driver|worker""",
    "name": """john|dave|david|mike|michael|james|jack|tom|sam|dan|daniel|chris|matt|mark|steve|kevin|brian|ryan|josh|jake|alex|ben|\
adam|paul
        sarah|emma|karen|jess|jessica|lisa|anna|kate|katie|laura|emily|amy|rachel|megan|chloe|ashley|tyler|kyle|jason|greg|tony|gary|\
luke""",
    "person": """him|them|you|someone|somebody|people|everyone|everybody|anyone|anybody|yall
        her
        {name}
        one|all|each of them|you|these
        {whose} ** {relation}
        other people
        innocent people""",
    "subject": "he|she|they|you|everyone|people|{name}\npeople|men|anyone|guys like that|him|her|them|this|these\n{whose} * {relation}",
    "another": "him|her|them|someone|somebody|people|everyone|everybody\nhis|their|her|a|the|some|other * {relation}",
    # to mean to, with the verb that follows as "kill" or as "killing"
    "i": "i|we|.|and|but|so|because|then|or|me",
    "intend": """want|wanted|need|plan|planned|planning|going|ready|intend|decided|tempted|trying|tried|hope|hoping|have|prepared|\
promise|vow to
        about|would|urge|urges|wanting|longing|itching|threatened|chance|excuse|way|determined|supposed to
        will|might|may|must|should
        would love|like to
        wish i could
        if i could
        can not wait to
        could snap and
        feel like i could
        how can|do|could|would|should i
        how to
        end up
        feel like i will|might
        plan is to""",
    "intending": """think|thinking|thought|thoughts|fantasise|fantasize|fantasising|fantasizing|fantasies|fantasy|dream|dreaming|talk \
about|of
        considering|imagine|imagining|imagined|picture|picturing|contemplating|contemplate|planning|planned|visualise|visualize
        planning|plans|intent on
        feel|felt like
        capable|dreams|urges|images|visions of
        up|myself|me from
        obsessed with
        close to
        plotting|plan|plans for|of
        keep|kept from
        up""",
    "harm": """kill|murder|stab|shoot|strangle|choke|hurt|attack|poison|drown|unalive|suffocate|behead|torture|execute|assault|\
slaughter|butcher
        punch|hit|smother|throttle|knife|maim|injure|harm|end|headbutt|shank|lynch|gut|bash|batter|slice|slash|massacre|decapitate|hang
        un alive
        beat up
        mess|fuck up
        run over
        set fire to
        lash out and hurt
        snap and kill|hurt""",
    "harming": """killing|murdering|stabbing|shooting|strangling|choking|hurting|attacking|poisoning|drowning|unaliving|suffocating|\
torturing
        slaughtering|punching|hitting|smothering|knifing|injuring|harming|bashing|slashing|massacring|butchering|beating|executing|hanging
        beating up
        running over
        ending""",
    "their": "his|her|their|your|the|that|this|{name}\nmy|that|this|his|her **",
    "bodypart": """face|head|skull|teeth|legs|neck|necks|jaw|arms|nose|bones|fingers|throat|throats|brains|kneecaps|ribs|heart|eyes|\
head|heads""",
    # to wish, for oneself
    "want": """want|wanted|wanting|wish|wished|wishing|hope|hoping|hoped|pray|praying|prayed|need|ready|rather|prefer|like|love|ask|\
begging|beg""",
    "may": """might|may|will|would|could|should|want|wanted|going|trying|tried|tempted|thinking|think|thought|thoughts|plan|planning|\
urge|urges
        considered|considering|ready|about|keep|wish|need|feel|imagine|imagining|decided|contemplating|contemplated|scared|contemplate|\
nearly|almost|keep|kept""",
    "kill": """kill|killed|killing|kills|murder|unalive|unalived|unaliving|unalives|off|offed|offing|delete|deleting|deleted|yeet|\
yeeting|end|ending""",
    "hang": """hang|hanged|hanging|hung|drown|drowned|drowning|shoot|shot|shooting|stab|stabbed|stabbing|poison|poisoned|suffocate|neck|\
rope|top|topped""",
    "hurt": """hurt|hurting|hurts|harm|harmed|harming|harms|injure|injuring|cut|cuts|cutting|burn|burning|burned|burnt|slice|scratch|\
scratching""",
    "end": "end|ends|ending|ended|take|takes|taking|took|taken",
    "limb": "wrist|wrists|arm|arms|leg|legs|thigh|thighs|skin|stomach|forearm|forearms|hips|body|veins",
    "gone": """dead|gone
        died|die|vanished|disappeared|disappear
        was|were|am|is not|never * here|alive|around|born
        were|was|am|is not|never * here|around|alive|born|dead|gone
        never existed|existed
        did not exist|wake
        ended it
        killed myself
        had never been born""",
    "pills": """pills|tablets|meds|medication|paracetamol|tylenol|ibuprofen|aspirin|sleeping|insulin|antidepressants|xanax|painkillers|\
bleach""",
    "height": "bridge|bridges|roof|rooftop|building|balcony|cliff|window|ledge|overpass|pier|tower|multistorey|multi|carpark|flyover|car",
    "traffic": "train|trains|bus|car|cars|truck|lorry|tube|traffic|tracks|metro|subway|oncoming",
    # what is close to no harm at all
    "awkward": """embarrassed|embarrassing|embarrassment|mortified|mortifying|cringe|cringing|cringey|cringed|awkward|humiliating|\
blushing|hungover
        hangover|hungry|bored|boring|starving|sunburn|sunburnt|sunburned|freezing|humid""",
    "joking": "lol|lmao|haha|hahaha|lmfao|rofl|jk|joking|kidding|haha|ha|hehe|xd",
    "trifle": """meeting|meetings|email|emails|song|zoom|advert|ad|lecture|spreadsheet|slide|slideshow|powerpoint|essay|form|commercial|\
podcast
        jingle|queue|traffic|presentation|webinar|invoice|update|printer|homework|worksheet|carol|carols|lyric|reel|advertisement|teams|\
ikea""",
}

# Of the writer: whatever surrounds it, it counts.
SELF_HARM_OWN: Final = """
# killing oneself, in plain words and in slang
unaliving|unalived|unalive .|tonight|myself|soon|it
unaliving
should|could|might|just|to ~ end it ~ .|tonight|now|already|here|forever|myself
let me die
want|wants|wanted|wanting me dead
am|be|will ~ ending it|things|myself
{kill} ~ {myself}
{hang} {myself}
do|doing|did|done {myself} in
kms
kys
ctb
commit|comit|committed|committing die|suicide|unalive
toaster bath
self delete
suicidal
suicide
suicides
sui thoughts|note|attempt
{end} ~ my [own] life
{end} my own life
{end} it all
{want} to end it
going|ready|decided|planning|plan|thinking|think|thought|time|about|of|tempted|just|might|will to|about|of|and end|ending it|things
{intend} end it
ways to|of end|ending it
{end} it tonight|tomorrow|now|today|soon|already|for good
# wishing to be dead
wish|wished|wishing|hope|hoping|hoped|want|pray|praying|tempted|easier|better|ready ** i|me|myself *** die|dead|dying
why **** i * die|dead
can not wait to ~ die|be ~ dead
not care|mind|bothered ~ if i ~ die|died|dead|live|lived|was
wish|hope|want|pray ** car|bus|truck|train|lorry|plane|something|someone|lightning ** run|hit|take|takes|kill|wipe|smash|flatten * me
{myself} hanging|dead|dying|jumping|drowning|bleeding
me|myself in|under the|my|a|ground ground|coffin|grave|morgue|casket
in my grave|coffin
want|wanted|wanting ~ to ~ die
want|wanted|wanting ~ to ~ not be alive
want|wanted|wanting ~ to ~ be dead
{want} ~ to * be dead
{want} i ~ was|were|am|be|would|could ~ dead|die|unalive
wish|hope|pray * i * die|died
wish|hope|pray i * would|could|might * die
hope|wish|pray|want|asking|ask|begging|beg god|he|the|lord|death * take|takes|took me
{want} ~ something|someone|somebody|a|he|they|anyone ** would|will|to|could ~ kill|hit|shoot|hits|kills me
hope|wish|pray ** car|bus|truck|train|lorry|plane *** hits|hit|crash|crashes|crashed me|with|and
hope|wish|pray i ~ get|got|gets hit|cancer|shot|killed|murdered
rather|sooner|better be|off dead
rather|sooner die than live|go|keep|wake|stay|be|exist|carry|face|spend|feel
better off ~ dead|gone
i ~ should|deserve|need|ought|supposed|meant ~ die|dead
i * not|never deserve to be here|alive
i * not|never deserve to live|exist
i should have died
i should not ~ be alive
should have been me that|who|in|instead
i * looking|look forward to dying|death
death would|is|seems|sounds *** relief|peaceful|escape|better|easier|answer|solution|option|nice
# not wishing to be, or to go on
can|could not ~ bear|face|take|stand|imagine *** living|being another|one|like|alive|any|through * day|more|.|alive|this
{may}|want|wanted ~ to ~ walk|swim|wade|go ~ into|out the|a|into ~ sea|ocean|river|lake ~ .|and|until|forever
not think|see|know|believe|sure ** i ~ will ~ be ~ here|around|alive|make ~ next|tomorrow|much|by|when|for|long|in|it
should not ~ be ~ here|alive|around anymore|.|and
should not ~ exist
not ~ meant|supposed ~ to ~ be ~ alive|here|born|around ~ .|anymore|and|in
not *** see|imagine|picture myself|me * being|living|around|alive|here|making
not ** going|want|be to|be * here|around|alive ****** point
will to ~ live|living|keep|carry|go
if i wake up tomorrow|again
disappointed|upset|sad|angry|gutted|annoyed ** wake|woke|waking up
tonight it|this|everything stops|ends
can|could not ~ do|take|bear|handle|cope ~ this|it|with {anymore} ~ .
not ~ do|take this|it {anymore} ****** answer|answering|pick|reply|replying
am|be|start jumping .
if|when|once i ~ was|were|am ~ dead|gone .
if i ~ was|were|am dead
if i ~ died ~ tomorrow|tonight|today|.|would|i|nobody|they|who
not existing
not ~ waking up ~ .|tomorrow|again|and|in|would|one|at|seems|sounds
stay|staying|keep|keeping|remain ~ me|myself alive
not ~ alive anymore|much|long|for
was|were not ~ alive ~ .|anymore|and|because|so
was|were not in ~ world|it
stay asleep
no hope left|for ~ me|.
time for me|i|to ~ to ~ go ~ for ~ good
end everything
should have ~ jumped|died|drowned|let|ended * when|it|off|me|that|.|instead|too
never see another birthday|christmas|summer|morning|day
no longer ~ want|wanted|wish|see|care to|if|a|any * live|living|exist|be|reason|alive|point
death|dying|suicide ~ is|seems|feels|looks ~ only|best|easier|answer|option|way
why am i ~ alive|here .
why ~ bother living
not think|believe i ~ want|can ~ to|go ~ live|on|exist
not ~ feel like|want ~ living|existing|being
want|wish|wishing|hoping ~ to|i|would|could|was|were ~ be|get ~ gone|cancer|terminal .|forever|and|so|already|from|but|because|for
i|and|just ~ want out .
life is|feels|seems|so ~ pointless|meaningless|empty ****** out|end|die|ways|ended
thinking|think|thought about|of ~ ways out
not ~ do|face|want|like|handle ~ this life|living {anymore}|thing|anyway
can not ~ do ~ life {anymore}
can not ~ be|stay here|alive {anymore}
better|easier off|if ** under|six|in ~ ground|feet|dirt|grave
i|we ~ can not go on .
he|she|they|mum|dad|friend|mate|brother|sister ~ can not go on
imagine|imagining|picture|picturing|think|thinking|planning|plan|fantasise|fantasize ** my ~ funeral|death
noise|voices|pain in my head to stop
tell|telling my kids|mum|parents|family|wife|husband|dad|daughter|son|sister|brother ** love|loved them|him|her
so easy ~ to * step|jump|let|drive|end|swerve|walk|fall|slip|stop ** off|go|breathing|platform|tracks|it|into|under
leave|leaving|exit this world|earth|planet|life
want|wanted|wanting|need out of this|my|life life|world
hurts to be alive|exist
hurts ~ being alive
not ~ sure|certain|know **** want|can|worth|if ~ to * living|live|alive|existing
no|any|what|see ~ point ~ being|staying|stay|carrying|me|in|of * being|here|alive|around|on|going ~ here|alive|around|on|anymore|.
not ~ want|wanted ~ to wake up ~ tomorrow|.|and|in|to|because
not *** make|see|live|last ~ it|to|past|until * my|another next|birthday|christmas|morning|18|20|21|30
my own funeral
world ~ does|would|will not need|miss|want me
wish|should ** had|have been me
tonight|today|tomorrow ~ my|is ~ last
last|final night|day on|of|alive * earth|alive|life|planet
be|being|go with ** in heaven|paradise
be|being with ** again soon
once|if|when i am|was|were ~ out of the|their|your picture|way|lives|misery
{want} ~ to disappear|vanish|evaporate
{want} ~ to ~ stop existing|living|breathing|being
{want} ~ i could|would ~ disappear|vanish
cease to exist
stop existing
sleep|sleeping|asleep forever
sleep|asleep|bed ~ and|to ~ never|not ** wake|waking up
{want} **** not|never *** wake|waking|woke|woken up
never waking up
never wake up
happy|fine|ok|okay|glad|relieved|relief|mind if|to|not **** wake up
not|never|no ~ want|wanted|wanting|wish|desire|like ~ to ~ live|exist|be
not|never ~ want|wanted|see|feel ~ to|like|worth|myself * living|alive|exist|existing|breathe|breathing
not|never ~ want|wanted ~ to wake|go|keep|carry|be|do|live up|on|going|alive|here|around|this|life ** {anymore}
not|never ~ want|wanted ~ to carry|keep on|going|living
not ~ want|wanted ~ to be around|here {anymore}
not ~ want|wanted ~ to be in|on this|the|earth|here world|planet|earth|life
not ~ want to go|carry on living|anymore|with|any
wish|want|wishing|wished ~ i * not|never ** born|existed|exist|alive|here
wish ~ i ~ never born|existed
never asked|wish|should * have|to been|be born
better|happier|easier * if i ** {gone}
better|happier|easier * if i {gone}
can not|never go|carry on living|anymore|any|no
can not keep|go on living
can not * live anymore|any|with myself
hate being|that alive|exist
hate being alive
hate that i am alive|here
done|finished|over with life|living|existing
done living|being
over living
sick|tired|exhausted|fed|bored|weary ~ of|up|with|from * living|life|existing|alive
sick|tired|exhausted|weary ~ of|with|from ~ being here|alive
had enough of life|living
had enough of this life|world
give|giving|gave|given ~ up on|with * life|living
lost|losing|lose|no ~ will to live|go
no|not|any|see|what|little|zero|no ~ point|reason|purpose|sense|use|reasons * in|to|of|for|why * living|live|life|alive|exist|existing|\
going|carrying|on|being|stay|here
no|any|what ~ point|reason|reasons to|in|for ~ me|my|i being|to|should here|exist|live|alive|be
nothing ~ left|to|worth ** live|living for
nothing left for me
life ** not worth|point it|living|in
not worth living
no|nothing|not ~ life ~ worth living
is|if|whether life|it ~ worth living|carrying
no|any|only|see|other|way ~ way out
only way out|to|it|i * is|stop|end|make|of|get * death|die|pain|it|dying|this
no|not ~ future for me|myself|like
not see|have|imagine|picture a future
not see|picture|imagine myself * alive|living|making|being past|at|by|to|here|alive
{want} ~ it|everything|all|the|my|this ~ to|pain|would * stop|end|over|finished
{want} ~ the|my|this pain|suffering|hurting|hurt ~ to|would ~ stop|end|over|go
make it all|the|everything stop|end|pain
want|need|ready * peace|rest|sleep forever|permanently|eternal
ready to ~ die
ready to ~ go|leave ~ this|my life|world|earth
meet my maker
join|with|see|to|follow|meet him|her|them|mum|dad|you ~ in|up|on|soon heaven|there|other
go|be in|to heaven|angel {anymore}|now|with|soon
{want} ~ to go to heaven
{want} ~ to be ~ an|with angel|god|jesus
# being a burden, not being missed
not ~ be ~ a burden {anymore}
they|everyone|family|kids|people ~ would|will ~ be ~ better off ~ .
better|happier|easier|fine ~ w o me
would|could|can|will|are|be|is|do|cope|manage|fine|better ** without me
space ****** {nobody} ***** if|without|sad|miss
if|when you|anyone|someone find|finds|read|reads|found this
kids|they|everyone|family|children|everybody|parents|mum|dad|wife|husband|world|people|son|daughter * would|will|could|can ~ cope|\
manage|fine|survive|ok|okay|better|happier|improve|easier ~ without|if * me|i
life|lives|everything|things ~ would|will ~ improve|better|easier|happier **** if|without i|me|i ** was|were|died|dead|gone
{nobody} ~ needs|loves|wants me ~ . ~ they ***** without|over
world|everyone|everybody|life|they|family|kids ****** better|happier|easier ** if|when|once i * was|were|am not
would ~ be happier|better|fine|relieved without me
already|have wrote|written|writing|write ~ note|notes|letters ~ .|to|and|for
find|finds|found me|my in|on|hanging|dead|body ~ morning|floor|bath|garage|.|and
nearly|almost did|done it ~ last|tonight|today|yesterday|again
come|came|cry|go|turn|be ~ up|to|at ~ my funeral
better|happier|easier|nicer|relieved|peace|best ~ off|place|for|life|everyone|them|all **** without me|my
better|happier|easier|best|relieved ** if|when|once i|me *** {gone}
better|happier|easier|best|relieved ** if|when|once i ** gone|dead|died|here|disappeared|around|exist|existed|alive|left|vanished
am|being|become|feel|just|only|such|was|me|like|nothing * a|an|but|such ~ burden|waste
burden to|on ~ everyone|everybody|people|them|my|anyone|others|you
waste of space|oxygen|air
{nobody}|would|not|anyone|someone|who ~ would|will|even|anyone|anybody ~ miss me
{nobody}|not|anyone|anybody|who|wonder|would|everyone|they|people|world ~ would|will|even|not|ever|anyone|they ~ notice|care|cry|mind|\
miss|come|sad|upset|happy ** if|that|when ~ i **** {gone}
if i ~ died|dead|disappeared|vanished|die|gone ** {nobody}|would|will|who|not|anyone|everyone|they|it|tomorrow|tonight
if i was|were|am ~ dead|gone ** {nobody}|would|will|who|not|anyone|everyone|they|it
when|once|after i am dead|gone
not|no have|longer to ~ worry|deal|look|put|take about|with|after|up|care me {anymore}|much|longer
will|would not be|bother|hurt|have|worry **** much longer
will not be ~ here|around|alive|problem|burden|bother|in ~ {anymore}|much|for|to|next|when|this
by the time you|anyone read|reads|see|find|finds this|me
when|by ~ you|they|time|someone|until read|find|finds|found ~ this|me ~ i|it|dead|gone|be|will|body
goodbye|bye ~ world|everyone|forever|everybody|cruel|all
this is ~ goodbye|my|the * goodbye|end|last|note
final|last goodbye|goodbyes|words|night|day|message|letter|post|note * on|ever|to|you|i|for|. earth|everyone|all|will|write|my|alive
said|saying|say|wrote|writing|written|write|left|leaving|sent ** goodbye|goodbyes|suicide|final|last ** letter|letters|note|notes|\
message|messages|everyone
wrote|writing|written|write|left|leaving * note|letter|letters|notes *** parents|family|mum|kids|explaining|before|find|when|for
giving|gave|given|give away ~ my|all ** things|stuff|belongings|possessions|everything|clothes|dog|cat
# methods, and looking for one
blade|blades|razor|bridge|rope|pills|tracks|knife|river|ledge ~ is|are|keeps|keep|helps|help ~ calling|calls|me|whispering|helps
on top|roof|edge of ~ a|car|building|bridge|carpark|multistorey ~ car|.|and|park|building
picked|chosen|chose|set|choose ~ a|the|my day|date|method|way|spot ~ .
i have|got ~ a plan ~ and ~ a date|day|time|place|note|pills
blood ** all|on|over|down * my|her|his {limb}
jumped|fell|leapt ~ off|from ~ car|multistorey|bridge|building|roof|cliff|overpass|balcony ~ park|and|.|when|to|but|on
bought|buying|buy|got|ordered ~ razor|razors|blades|noose|helium
found|find|hid|hides|hiding ** razor|razors|blades|noose|rope ** under|in|her|his
empty|bottle|bottles|handful|box|boxes|stash|pile of|pill|pills * pills|bottle|bottles|packets|tablets|packet
pill bottles
pills|tablets ** in my hand|lap
counting|count|lined|line|lining ~ them|pills|tablets|up ~ pills|tablets|again|out|.
engine|car running|exhaust **** leaving|left|garage|breathe|hose|it|on|stop
garage ** engine running
i have|got ~ a plan ~ .
planning|plan|planned|figuring how|when|where to ~ do it
nearly|almost ~ jumped|stepped|walked|threw|drove ** front|under|off|into|from ** {traffic}|{height}
have|bought|got|tied|found|buy|tie|order|ordered ~ rope|noose * in|and|ready|from|to|hidden|under|so
gun|rope|pills|razor|blade|razors|blades ~ in|under|beside|by|next ~ my|to|me drawer|bed|lap|closet|me|bedside|wardrobe|pillow
looking|look|looked|staring|stare|went|going|go|drove|walk|walking|walked|standing ** bridge|bridges|roof|rooftop|cliff|tracks|ledge \
******* jump|jumping|end|die|dying|jumped
planned|know|plan|figured|decided|researched|worked [out] [exactly] how|when|where ~ i ~ will|would|am ~ do|going|doing ~ it|to
took|take|taking|taken|swallow|swallowed|swallowing|downed|down|neck|necked ~ all|whole|bottle|handful|too|a|entire|loads|bunch|every|\
overdose|40|30|50|20 ** {pills}|overdose|many|of|bottle
took|swallowed|taken|swallow|take ~ an overdose
overdose|overdosed|overdosing|od on|twice|again|last|when|before|with|in|at|my|and|.|to|tonight
saving|saved|hoarding|stockpiling|stashing|stashed|collecting|stockpiled|hoarded|counting|counted|hiding|staring|looking|hid|stash * up|\
at|out|all|my|the|of|enough ** {pills}
enough {pills} to|and|that
how many * {pills} *** to|die|kill|would|does|it|before
pills|rope|gun|knife|bottle|blade|razor * in front of me|my
painless|easiest|quickest|fastest|quick|easy|least|best|ways|way|peaceful|method|methods|effective ~ painful|ways|way|method|to|of|for \
* die|dying|go|end|suicide|death
drink|drank|drinking|chug ~ bleach|antifreeze
noose
gun|bullet|knife|pistol ** to|in|through|into|at|against ~ my head|mouth|brain|throat|temple|skull|wrist|wrists|chest|heart
blow|blowing|blew my * brains|head
slit|slitting|slash|slashing|slashed|slice|open|opening|opened my ~ wrist|wrists|throat|veins|arms|arm
slit|slitting|slashed|slash|cut his|her|their ~ wrist|wrists|veins
jump|jumping|jumped|throw|throwing|threw|chuck|leap|leaping|hurl|launch|fling|yeet ~ {myself} *** off|from|under|front|bridge|out|river|\
traffic|roof
{may} **** jump|jumping|leap|leaping|step|stepping|fall|falling ~ off|from|out|over ** {height}
{may} **** jump|jumping|step|stepping|walk|walking|run|running ~ out ~ in front|into|under|onto ** {traffic}
{may} **** jump|jumping|step|stepping|walk|walking|run|running|walked ~ in|into|under|onto|front ** {traffic}
standing|stood|sitting|sat|stand|sit|am|here ~ on|at|by|near * edge|bridge|ledge|roof|tracks|rooftop|platform|overpass|railing|cliff \
*** jump|jumping|go|thinking|over|over|wondering|down|end|step
edge of|on * bridge|roof|building|cliff|platform
{may} *** drive|driving|steer|steering|swerve|swerving|crash|crashing|veer ****** into|off|tree|wall|bridge|oncoming|cliff|road|traffic|on
crash|crashed|crashing my|the car on|into|deliberately purpose
walk|walking|walked|wade ~ into the sea|ocean|river|lake and *** back|never|keep|drown|disappear|not
rope|ligature|belt around|round my|his|her neck
stop|stopped|stopping|skip|skipping * taking|my|eating|drinking **** die|dead|on|kill|purpose
starve|starving|starved {myself}
# hurting oneself
used|want|wanted|need|going|urge|urges|tempted|wanting|gone|back to ~ cut|cutting ~ .|and|again|but|when|because|so|tonight|until|to
my|his|her|their|with {limb} ~ cut|slit|slashed|cuts
{hurt} ~ {myself}
hit|hitting|punch|punched|punching|bite|biting|punish|punishing|choke|choking|strangle|starve {myself}
bang|banging|smash|smashing|hit|hitting my head on|against|into ** wall|until
cut|cuts|cutting|slice|slicing|burn|burning|burned|scratch|scratching|carve|carving|slit|scratched ~ my|up|into|on * {limb}
cutting again|.|and|for|since|to|as|helps|at
cutting ~ was|is only|way|thing|what
cut again|deeper|deep
started|start|been|stopped|stop|keep|still|go|used|back|from|to|of|tempted|urge|wanting cutting .|again
not|have|not|of|without|from|free|since|about ~ cut|cutting ~ in|since|for|again|.|anymore * .|months|days|weeks|years|week|month
self harm|harmed|harming|injury|injure|injuring|mutilation|mutilate|inflicted
selfharm
selfharming
selfharmed
relapse|relapsed|relapsing ****** cut|cutting|cuts|sh|self|harm|blade|razor|wrists|arms
clean from|off|of sh|cutting|self|selfharm|blades
sh relapse|scars|urges|again
scars|cuts|barcodes|marks|bandages|burns ** on|up|all|down my|over|his|her ** {limb}
razor|razors|blade|blades **** skin|arm|arms|wrist|wrists|hidden|hid|again|drawer|bleed|thigh|under|relief|feel|cut|hide
# thoughts, risk, past attempts
survived|survive ~ an|my|his|her ~ attempt|overdose|suicide
after|since my|his|her ~ attempt ~ .|in|last|i|the|two|when|she|he
not ~ keep {myself} safe|alive
keep|keeping {myself} safe|alive|from
thoughts|thinking|think|thought|talks|talking|talked|ideas|fantasise|fantasize|fantasizing|fantasising|dream|dreaming|daydream|\
imagining|contemplating|considering|considered|contemplated ~ of|about * ending|dying|death|die|suicide|disappearing|dead|not ** it|my|\
everything|myself|all|a|here|alive|every|again|lot|things|would|.|and|constantly
dark|bad|scary|intrusive|those thoughts * again|back|are|getting|worse|about|tonight|won|and|of|.|lately|late|at
thoughts * are|come|coming|came back|louder|again
thoughts of not|ending|dying|suicide
passively suicidal
danger|harm|risk to {myself}
not ~ safe with|from|around|by {myself}
not ~ trust {myself} *** alone|with|tonight|knives|knife|around|right|not|near|anymore|pills
not feel|am safe tonight|alone|right|with|in|on|being * my|.|now|own|alone|myself|head|thoughts
scared|afraid|frightened|terrified|worried ~ of|about * what ~ i ~ might|will|may|could|am ~ do|capable .
scared|afraid|frightened|terrified|worried ~ of|about * what ~ i ~ might|will|may|could ~ do to|tonight|if|when|next * myself|i|alone|.|am
do|doing|did|done something ~ to {myself}
not ~ do|take ~ this|it|living {anymore} ****** love|goodbye|sorry|kids|bye|pills|note
sorry|goodbye|love|bye ******* can not ~ do|take|live ~ this|it ~ {anymore}
scared|afraid|might|may|going|worried|will i|to|might|may|will|am * do|doing ~ something stupid|drastic|permanent|final|irreversible
after|since|survived|about|of|during|before|from ~ my|his|her|an ~ first|last|second|third|previous|failed|past attempt
attempt|attempted|attempts on|to|twice|before|again|at ~ my|end|take|kill|life|hang|overdose|in|when|last ~ life|own|it|my|myself|high|\
college|school
failed|previous|past|suicide attempt|attempts ~ at|on|to|in|when|.
i ~ attempted ~ .|twice|before|again|last|three|when|in|at|two|multiple|once
tried|try|trying|attempted|attempt ~ to ~ end|take|hang|od|overdose|drown|unalive|die ~ it|my|myself|all|.|last|when|on|in|at|twice|\
before|by|and
called|rang|texted|phoned|call|ring|text|calling|ringing|texting * samaritans|988|crisis|lifeline|suicide
psych|psychiatric|mental ** ward|hospital|unit *** attempt|tried|suicide|overdose|cut
"""

# Of others: not where it is a story, a game or the news.
SELF_HARM_OTHERS: Final = """
locked {themselves} ~ in|inside ****** knife|pills|gun|razor|rope|do
he|she|they ~ was|were not ~ alive|born|here ~ .|and|anymore
does|do not ~ want|wish to ~ live|be ~ alive|here|anymore
prays|wishes|hopes ~ god|lord|he|death|someone [would] take|takes|kill|kills him|her
do|doing something stupid|drastic|permanent|final|irreversible ** he|she|they|because|since|.|tonight|after
goodbye|farewell ** thanks|thank|sorry ****** not ~ answering|replying|responding|picking
{kill} ~ {themselves}
{hang} {themselves}
do|doing|did|done {themselves} in
{end} ~ his|her|their|your [own] life|lives
{end} his|her|their own life|lives
wants ~ to ~ die|disappear|vanish
wants ~ to ~ be dead|gone
wants ~ to end it|things|everything|his|her|their
{may}|wants|keeps|keep|kept|been|is|started|caught|found|to|she|he|they|of|about|deliberately|by ~ {hurt} ~ {themselves}
{hurt} ~ {themselves} ~ on|again|because|when|every|with|and|last purpose|razor|blade|scissors|bad|again|a|stressed|upset|the|night
cut|cuts|cutting {themselves}
cutting|cuts|cut|burning|slit|scratching his|her|their * {limb}
not|never ~ want|wanting|wanted ~ to ~ live|exist|be ~ anymore|alive|here|around|any|no|.
not want|wanting to be here|alive|around
does not want to live|exist|wake|be ** anymore|alive|here|up|around
wishes|wished|hopes|prays|hoping|wishing he|she|they ~ was|were|could|would|had|not|will ~ dead|die|died|never|gone|wake|born
do|doing something ~ to {themselves}
{may}|worried|scared|afraid|terrified ~ he|she|they|to ~ will|might|may|is|could|going|to ~ do|doing ~ something stupid|drastic|silly|\
permanent
better off without him|her|them
{nobody} would miss him|her|them
he|she|they ~ says|said|thinks|feels|keeps ******* better|happier ~ off * without|dead
she|he|they|who|friend|brother|sister|son|daughter ~ overdosed|attempted
took|takes|taken|taking ~ an|too|all|whole|bottle ** overdose|pills|tablets
reason|point|reasons to|in live|living for|anymore|left|.|he|she|they
no reason to live
jumped|jump|jumping|threw|throw ~ {themselves} ~ off|from|under|in|out ** {height}|{traffic}|front
he|she|they|friend|brother|sister|dad|mum|son|daughter ~ jumped|jump|jumping ~ off|from|in ~ {height}|front
"""

# Meant, whatever surrounds it: many people, weapons, a crime in the planning.
VIOLENCE_PLANS: Final = """
easy|easier|simple ** to * push|shove|kill|stab|shoot|strangle|choke|poison|smother|hurt {person}
throw|throwing|chuck acid
not be|is breathing|alive ~ when|once|after|by i|the
got|have|holding|with|grabbed|grab ~ hammer|knife|gun|axe|bat|machete ~ in|right my|here ~ hand|hands
hunt|hunting|track|tracking {person} down
rid of {person} ~ for ~ good
violent|murderous|homicidal thoughts|urges|fantasies ~ about|towards|toward|of|against
homicidal
take|taking|put|putting|use a|my|the hammer|axe|bat|knife|blade|gun|brick|machete ~ to|on ~ him|her|them|{their}
list of people * i ~ will|want|going|need ~ to ~ kill|hurt|shoot
i have|got|bought ** gun|bat|knife|machete|crowbar|rifle ** car|bag|boot|backpack|locker
regret|sorry|pay|deserve|deal ****** gun|rifle|bat|knife|shotgun
gun|rifle|bat|knife|shotgun ****** deal|pay|regret|sorry|revenge
poison|spike|poisoning|drug ~ my|his|her|their|someones|the ** food|drink|tea|coffee|dinner|water|lunch
could|would|will|d ~ {harm} {person} and {nobody}|get|not
come|coming|go|going|walk|walking ~ in|into|back ** with ~ my|a|the ~ rifle|gun|knife|shotgun|machete|bat
unalive {person}
put|putting {person} in ~ hospital|ground|grave|morgue|coffin
kick|kicking|cave|caving|smash|smashing|bash|bashing {their} head|face|teeth|skull in
tonight {subject} ~ going|will ~ to ~ die|pay|bleed
i ~ hit|punched|beat|slapped|choked my * girlfriend|wife|partner|kid|kids|son|daughter|baby|child|boyfriend|husband|mum|sister|brother
shoot|shooting up ~ my|the|a|his|our|this|that|her|their * school|office|place|work|workplace|church|mosque|mall|party|class|synagogue|\
hospital|college|club|house
{intend} ~ bomb|burn|torch|firebomb|blow *** school|office|building|workplace|church|mosque|house|home|place|synagogue|down|up|flat|\
hospital|college
{intending} ~ bombing|burning|torching|blowing|shooting *** school|office|building|workplace|church|mosque|house|home|synagogue|flat
{intend} set|start fire|his|her|their|a * to|on|house|car|at|fire * the|their|his|her|fire|on|my|house|school
set|setting his|her|their|the house|home|car|flat|room on fire
bring|bringing|take|taking|carry|carrying|brought|took|get|getting ~ my|a|the|dads|his ** gun|knife|weapon|machete|rifle|bat|blade|\
hammer ~ in|to|into|for|and|so|on ** school|work|class|church|office|him|her|them|college|use|party|house|they|tomorrow
got|have|bought|buying|buy|loaded|loading|sharpening|sharpened|carrying|carry|grab|grabbing|grabbed ~ my|a|the ** gun|knife|weapon|\
machete|rifle|shotgun|bat|axe|knuckles *** him|her|them|use|everyone|they|coming|school|people|someone|you|pay|wait|waiting|next
i|my ~ kill|death list
hit list
hire|hiring|pay|paying|find ~ a|someone|somebody ~ hitman|hit|to kill|hurt|beat|man
hitman to
get|getting ~ away with ~ killing|murder|murdering|hurting|poisoning ** {person}
how to|do|would|can|could|long|many|much * i|you|it|someone|to|one ~ poison|kill|murder|strangle|suffocate|hurt ~ {person} **** caught|\
trace|without|person|human|noticing|knowing|tell|.
poison|poisoning|antifreeze|spike|put|rat * his|her|their|in|your ** food|drink|tea|coffee|dinner|water
where to|would|could|can|i|do * hide|bury|dump|dispose ~ of|the|a|his|her * body|bodies|corpse
i know where you|he|she|they live|lives|sleep|sleeps|work|works
waiting|wait|follow|following|followed|stalk|hide|hiding for|outside|him|her|home|behind ****** knife|gun|bat|kill|jump|stab|hammer|hurt
{i} ~ killing|murdering|shooting|stabbing everyone|everybody|people|someone|them
{i} ~ go|going on|do ~ a ~ killing|shooting|rampage|massacre|murder spree|rampage|massacre|.
"""

# A meant wish, an intent, a threat: not where it is a story, a game or a match.
VIOLENCE_WISHES: Final = """
you are ~ dead when|once|if|after|next i|we|you
i ~ wish|wished ~ {subject} ~ was|were|would|is|are|could ~ dead|die|dying|hurt
beat|beating|kick|kicking|whoop his|her|their|your|that ~ ass|arse|asses|face|head
i ~ would ~ happily|gladly|love|like ~ to ~ see|watch|kill|shoot|strangle ~ {person} ~ dead|die|suffer|.
happily|gladly ~ see|watch|kill|shoot|strangle|stab ~ {person}
slap|beat|kick|choke|smack the * out of {person}
until|till|so he|she|they ~ stops|stop|never|is|are ~ breathing|breathe|breathes|moving|dead|wakes
i ~ would ~ kill|murder|stab {person} if
{i} ~ {intend} ~ mess|fuck {person} up
make|making {person} ~ pay|suffer|regret|bleed|sorry ~ .|for|it|what|if|like|everything|being
so|this|that|inches|seconds close|away to|from {harming} {person}
would ~ {harm} {person} * if|but i|for ~ could|knew|had|would|was|get|got|did|thought
{i} ~ {intend} ~ jump {person}
{i} ~ {intend} ~ cut|slice {person} ~ if|up|open|.|and
i ~ can|could not ~ stop ~ {intending} ~ {harming} {person}
# I mean to
{i} ~ {intend} ~ {harm} ~ {person}
{i} ~ {intending} ~ {harming} ~ {person}
{i} ~ {intending} * how|about|of|what|when|ways * {harming} {person}
{i} ~ {intending} *** i|to|how|would|could|will * {harm} {person}
ways|way|reasons|reason|plan|plans|urge|urges|desire|need|impulse|want|fantasies|thoughts|nightmares ~ to|of|about|for ~ {harm}|\
{harming} {person}
want|wanted|want|going|like ~ to ~ {harm} ** {person} so|really|right|tonight|tomorrow|for|until|with ** bad|badly|now|did|dies|dead|\
hands|bare|what|much
scared|afraid|worried|terrified|frightened * i|that|of ~ might|will|may|could|going|about|am|i|to|hurting|killing|hurt ~ {harm}|going|\
to|{harming} ~ {person}
stop|stopping|keep|prevent|hold me|myself|holding|back ~ from|of|back|before|to * {harming} {person}
before|until|or|else i ~ {harm}|snap|hurt * {person}|kill
i|we ~ will ~ {harm} ~ {person}
if ***** i ~ swear|will|am|promise * i|to|god|going|will ** {harm} {person}
nothing|what * stop|stopping|stops me from {harming}
{i} ~ {intend}|could|will ~ with my bare|own hands
# how
{i} ~ {intend} * beat|kick|knock|punch|smash|stomp|kicking|beating ~ {person} * up|senseless|death|bloody|unconscious|out|until|half|\
pulp|blue|with|so|head|face|teeth|bad|badly
{i} ~ {intend}|{intending} * beat|kick|knock|punch|smash|stomp|beating|kicking|smashing the *** out|outta of|{person}
{i} ~ {intend}|{intending} ~ {harm}|break|snap|smash|slit|cut|slash|bash|kick|stomp|rip|crush|cave|bust|stove|twist|wring|breaking|\
smashing|cutting|slitting|kicking|snapping|bashing|caving|ripping|wringing|put ~ {their} * {bodypart}
{i} ~ {intend} ~ run|push|throw|shove|burn|put|set|tie|lock|chuck|pushing|running|mow ~ {person} ~ over|down|off|alive|in|under|on|\
through|up|out ~ .|with|the|hospital|fire|ground|stairs|front|a|grave|my|road|cliff|window|if|next|and|death|bridge|train|tonight|tomorrow
{intending} ~ running|pushing|throwing|shoving|burning|putting ~ {person} ~ over|down|off|alive|under|fire|front
{i} ~ {intend}|{intending} ~ run|running over {person}
put|putting|stick|sticking|plunge|drive|shove a|this|my bullet|knife|blade|axe|screwdriver ~ in|through|into|between {person}|{their}
{i} ~ {intend} ~ make ~ {person} ~ pay|suffer|bleed|hurt|scream|beg|regret|sorry
{i} ~ {intend} ~ make|get sure {subject} ~ never|dies|suffers|pays ** walk|walks|breathe|breathes|again|.|for
{subject} ~ will|going ~ pay|bleed|suffer ~ for|.|in ~ blood|this|what|it|with
{i} ~ {intend} ~ see|watch|seeing|watching ~ {person} ~ bleed|suffer|die|dead|burn|beg
i ~ want|need|wanting ~ blood|revenge ** blood|kill|hurt|violent
# wishing somebody dead
{i} ~ want|wanted|need|wish|hope|like ~ {person} ~ dead|hurt|killed|shot|beaten
{i} ~ want|wanted|need|wish|like ~ {person} ~ to ~ die|suffer|bleed|burn|hurt|choke
{i} ~ hope|wish|pray|want|hoping|praying|wishing|glad|happy|wished|hoped ~ that * {subject} ~ dies|die|died|suffers|suffer|burns|chokes|\
drowns|crashes|bleeds
{i} ~ hope|wish|pray|hoping|praying|wishing|wished|hoped ~ {subject} ~ dies|die|died|dead|suffers|suffer|burns|chokes|drowns|crashes|\
bleeds|drop|drops|choke
{i} ~ hope|wish|pray|hoping|wishing|praying ~ {subject} ~ would|will|could|drops|slowly|painfully ~ die|dies|dead|suffer|choke
{i} ~ hope|wish|pray|hoping|wishing|praying|want ~ {subject}|{person} ~ get|gets|got|to ** hit|run|shot|stabbed|killed|cancer|murdered|\
beaten|hurt|beat
{i} ~ hope|wish|pray|hoping|wishing|want ~ someone|somebody ~ would|will|to|could|kills|shoots|stabs * {harm}|{person} {person}|.
{subject} ~ deserves|deserve|needs|need|should|ought|must|has|have ~ to|be * die|bleed|burn|suffer|shot|killed|stabbed|hanged|hung|\
beaten|tortured|hurt
{subject} ~ going|about|will to|be * dead|die|bleed ~ when|tonight|once|for|because|by|tomorrow
world would be better ** without|if {person}|{subject} ~ in|dead|died
{subject} ~ is|are a ~ dead man|woman|men
{i} ~ kill|murder|stab|shoot {person} and|if|then|when|tonight|tomorrow|myself
watch your back
# done, or told by another who means it
i ~ stabbed|strangled|drowned|choked|poisoned|suffocated ~ {person}
i ~ beat {person} ~ up|unconscious|senseless|badly|with
i|and ~ tried|try|attempted to ~ kill|murder|stab|strangle|shoot|poison|drown|choke|suffocate|hurt {person}
{relation}|he|she|they|guy|someone|kid|who|and ~ says|said|told|tells|texted|threatened|threatens|threatening|keeps|talks|talking|joked|\
planning|plans|wants|posted|messaged|admitted|confessed ***** {harm}|{harming} {another}
"""

# Ordinary speech that would look like the above. It is taken out of the text before anything is looked for.
IDIOMS: Final = """
burden on ~ group|team|taxpayer|taxpayers|system|nhs|economy|project|state
dead last
hope|hoping|hopefully|pray|praying ***** not die|dying
if i * not ~ eat|sleep|get|have|drink ***** kill|murder|stab|die ~ someone|somebody|.
hangry|hungry|caffeine|coffee ***** kill|murder someone|somebody
be the death of me
living paycheck|together|alone|apart|abroad
if|when i am|was gone ~ for|on|to|next ~ a|week|weekend|holiday|work
not ~ waking up ~ early|late|at|to|on|before
bottle|box|packet of vitamins
be|was|were|am here|there ~ at|in|for|on|with|this|today * work|party|office|school|class|meeting|job|boring|wedding|today|dinner|gym|\
event|tonight|funeral|airport
want|wish|need|hope ~ everything|it|all|things|world to ~ stop|pause ~ for a * day|minute|second|week|moment|hour|bit|while
hurts|hurt|sore|aches|ache|throbbing|itches ~ bad|much ** wish|want|need it|would * would|to|stop ~ stop
knee|back|tooth|head|stomach|leg|foot|shoulder|ear|throat ~ hurts|hurt ******* stop
pay|paying for ~ dinner|lunch|drinks|repairs|damage|window|meal|taxi|bill|ticket
last|first day|week of|at|before ~ school|term|uni|work|camp|holiday|job ****** goodbye|bye everyone|all
school|term|trip|moving|semester|camp|conference ****** goodbye|bye everyone
thinking|thoughts|think|worry|worrying|obsessing|thought ~ about|of ~ death|dying ~ since|from|in|after|alone|one|someday|what|because
# to die, and nothing is meant
die|died|dying|dead|dies ~ of|from|with ~ {awkward}|laughter|laughing|boredom|shame|cuteness|happiness|hunger|thirst|heat|cold|\
excitement|joy|curiosity|anticipation|secondhand|jealousy|the heat|old
die|died|dying laughing|inside
die|dye|dying my|your|her|his|the|it|some * hair|shirt|shirts|roots|jeans|eyebrows|dress|blonde|blue|red|black|beard
want|wanted * die|disappear|vanish when i realised|realized|noticed|remembered|saw|tripped|fell
{awkward} ****** want|wanted|could|wish|wanting ** die|disappear|vanish|dead|died|swallow
want|wanted|could ~ to ~ die|disappear|vanish ********* {awkward}
not|never ~ want|wanted|wanting|ready|going|hope|need ~ to ~ be dead
not|never ~ going|hope|need|plan|planning ~ to ~ die
not|never ~ want|wanted|ready ~ to ~ die
hill * i|to|worth|want|you ** die|dying on
rather|sooner die than eat|wear|go|watch|listen|admit|let|talk|tell|ask|date|work|do|see|give|share|move|support|drink|read|use to|back|\
on|him|her|the|a|that|my|pineapple|another|outside|with|it
rather be dead than red|seen|wear|caught|late
to die for
# to be killed by work, feet, a commute
killing|kill|kills|killed me|us * .|today|with|right|lol|this|and|but
am|been|is|are|was|keep|stop|half|practically|worth|just|of * killing|killed {myself}|{themselves} ~ to|at|for|over|with|trying|working|\
studying|training|on * get|make|meet|finish|the|this|that|gym|work|my|a|overtime|workouts|impress|deadlines|deadline|please|pay|nothing|\
them|some|pass|his|her|uni|these
killing|kill|killed|kills {myself}|{themselves} ~ laughing|working|studying|training|revising|trying|at the gym|running|over a|over \
this|in the gym
nearly|almost|practically|accidentally ~ killed|kill|killing|hanged|drowned|strangled {myself}|{themselves} ~ tripping|falling|slipping|\
on|trying|carrying|running|laughing|climbing|skiing|getting|stepping|over|walking|with * the|stairs|up|down|over|a|to|ice|on|my|off|.
nearly|almost|practically killed {myself} on
if|every ******** {trifle} ****** kill|shoot|hang|stab|jump|die|off|murder *** {myself}|bridge|window|scream|roof|someone|somebody|him|\
them|die|.
kill {myself}|{themselves} ~ over|for|before|if|with * {trifle}|a|this|exams|deadline
will|would|not|might kill|hurt you|him|her|them|me|us to|if * say|do|wash|help|smile|ask|call|clean|put|try|be|go|use|you|wait|have|\
apologise|reply|take|tidy|share|pick|text|listen
shoot|shooting|shot {myself}|{themselves} ~ in the foot
career|political|social|commercial|professional|financial|economic|fashion|reputational|academic suicide
suicide squad|bomber|bombers|bombing|bombings|mission|doors|door|pact|run|runs|sprints|silence|squeeze|vest|attack|awareness|prevention|\
rates|rate|statistics|drills|drill|bill|burnout
ran|run|running|do|doing|did|more|ten|five|of suicides
virgin suicides
political|career|social and|or suicide
# to hurt or cut oneself by accident, or not at all
accidentally|nearly|almost|clumsily ~ {hurt} ~ {myself}|{themselves}|my|his|her
{hurt} ~ {myself}|{themselves} ~ badly|bad|pretty|quite|a|bit|by|while|when|just * shaving|cooking|chopping|slicing|peeling|playing|\
falling|lifting|running|accident|accidentally|opening|dancing|skiing|climbing|gardening|ironing|baking|cutting|frying|making|skating|\
skateboarding|jumping|tripping|exercising|trying|reaching|training|squatting|grating|snowboarding|washing|doing|cleaning|was|sneezing|\
stretching|moving|fell
{hurt} ~ {myself}|{themselves} on|at|during|in * the|a|an|some|that|broken|glass|paper|tin|barbed|work|gym|football|training|practice|\
pe|rugby|hot
burn|burned|burnt|burning {myself}|{themselves} out
burn|burned|burnt|burning {myself}|{themselves} ~ on|in|with|making|at ~ hot|sun|coffee|tea|oven|iron|grease|curling|straighteners|hair|\
stove|pan|kettle|beach|soup|dinner|toast|lunch
burn|burned|burnt|burning my|his|her ~ arm|hand|fingers|finger|leg|tongue|mouth|thumb ~ on|with|in|making|cooking ~ hot|sun|coffee|tea|\
oven|iron|grease|curling|straighteners|hair|stove|pan|kettle|soup|dinner|toast|pizza
cut|cutting {myself}|{themselves} ~ off|some|a|out|short|up|slack|down|loose
cut|cutting {myself}|my|his|her|{themselves} **** shaving|shave|onions|onion|vegetables|carrots|bagel|avocado|tomatoes|bread|gardening|\
kitten|cat|surgery|cast
cat|kitten|dog|thorns|bush|brambles *** scratched|scratch|scratches ** my|me|on|up
fell|slipped|tripped|crashed|playing|climbing|football|bike|toddler|stairs ****** hurt|cut|burn|injured|hurting|hurts|burned|injure ~ \
{myself}|{themselves}|my|his|her
hit|hitting {myself} up
kick|kicking {myself}
cut|cutting|cuts my|his|her|their hair|grass|fringe|nails|lawn|hours|losses|losing|finger|hand|thumb|toe|knee
cutting class|carbs|sugar|calories|costs|edge|corners|back|down|out|off|ties|grass|it
top myself up
off by {myself}
# to end or leave something that is not life
end|ending|ended|ends it|things ~ with|between|amicably|there|on ~ him|her|them|my|us|the|a|me|this|someone|good|.|high
end|ending|ended it|things with|between
end|ends it|things all well
take|taking|took my|his|her|their|your life|lives ~ back|seriously|forward|for granted
take|taking|took my|his|her|their|your life|lives ~ in|into|to|on * new|different|hands|next|another|own|direction|control
not|never ~ want|wanted ~ to ~ be|live|exist ~ with|in|near|at|together|next|on|alone|apart|under|to|friends|late|rude|that|a|an|the|\
like|mean|his|her|my|known|single|angry|sad|old|hurt|part|this|without * him|her|them|my|a|an|the|parents|our|your|in|wifi|coffee|\
internet|that|person|guy|girl|door|town|city|house|flat|country|dorm|you|it|these|those|people|roommate|ex|at|with
not ~ want|wanted ~ to be angry|sad|late|rude|alone|mean|single|friends|known|hated|left|bothered|seen|mad|a|an|the|that|his|her|my|\
told|judged
living|live ~ with|here|there|at|out|paycheck|alone|together|next|under|above|near|on ~ my|a|the|him|her|them|parents|roommate|\
flatmates|flatmate|you|of|wifi|coffee|this|ex|mould|mold|boxes
living|live in a|an|the|my|our|london|this|that|fear|student|someones * town|city|flat|house|apartment|country|dump|village|place|dorm|\
room|street|mess|building|area|neighborhood|suitcase|hotel|state|accommodation
tired|sick|bored|exhausted of|from|with * life ~ admin|advice|updates|lessons|coaching|stories
will to live ~ in|at|listening|waiting|halfway|during|after|reading|with|on|trying|because|watching|by|when|about|sitting|explaining|\
doing ~ .|this|the|a|that|an|meeting|queue|hold|slide|page|for|to|traffic|half|two|his|her|my|ikea|hours
{trifle} ****** will to live
disappear|vanish|vanishing ~ into|to|for|on|with|from|somewhere ~ a|the|my|some|this|woods|work|mountains|beach|holiday|countryside|\
cabin|island|social|that|instagram|an
sleep|slept|sleeping|nap forever ~ on|after|in|this|today|weekend|because|if
scared|afraid|worried|terrified|fear|frightened ****** sleep|asleep|surgery|anaesthetic|anesthesia|operation|wake|waking ****** wake|\
waking|woke up
wake|waking|woke up late|early|before|with|hungover|sick|in|tired|him|her|my|at|so|the|every|for|screaming|this|feeling
want|wish|hope|wanted|ready|need ~ it|this|the|everything|exam|exams|winter|term|semester ** week|winter|exam|exams|meeting|semester|\
term|shift|rain|noise|itching|heatwave|shift|drilling|day|year|interview|night|season|school|month|project|heat|match|queue ** over|\
done|finished|stop|end
the|my|this tooth|toothache|back|migraine|knee|headache|cramp|cramps|labour|sunburn|period|contractions|root ******* pain|hurt|hurting \
~ to|stop|end|would|go ~ stop|end
no|only|other|any way out of|is|to * this|the|my|car|here|contract|that|it|lease|town|park|building
when|once|after i am gone ~ on|for|to|next|this * week|weekend|holiday|work|vacation|day|days|an|away|a|from
see|with|meet|to|join him|her|them|you ~ on|up|in|soon there|other
last|final day|night|words|message|post|note ** of|at|in|before|here|on|for ~ school|work|holiday|the|my|our|term|uni|campus|instagram|\
term|university|this|a
final|last goodbye|goodbyes ** to|at|for ~ my|her|him|the|our|gran|mum|dad|grandad|funeral|dog|cat|nan
goodbye|bye ~ everyone|world ~ see|and|thanks|thank|at|on|before ~ you|for|my|thank|tomorrow|see|the|all
goodbye|farewell letter|letters|note|message|messages|speech|cards|card ~ to|for|from ~ my|the|our|his|her|their ~ students|colleagues|\
class|team|coworkers|teacher|boss|work|clients|house
waste|wasted ~ of ~ time|money|space|a|my|an|paper|life ~ on|in|meeting|.
a|such|am|is|total|complete|just waste of|. time|money|effort|energy|paper|petrol|gas|makeup|food
financial|tax|admin|debt|proof|heavy|huge|dog|of|the burden of|on|. proof|taxpayers|guilt|carrying|this|grief
go|ahead|start|starting|started|left|leave|eat|going|went|goes|do|did|doing|done|watch|watched|carry|get * without me
without me ~ at|in|on|for|to|tomorrow|today|this|while|until * meeting|office|work|party|game|trip|team|tomorrow|week|project|weekend|\
holiday|class|afternoon|shift|wedding|first
mind|bad|rotten|boredom|alone wish|of i had|was gone|going|there|more|with
attempt|attempted|attempts ~ at|to|on ~ a|an|the|my|this|make|be|making|cook|run|bake|baking|get|win|pass|do|it|level|fix|cake|\
conversation|cooking|humour|humor|driving|exam|marathon|some|parking|sourdough|diy|jump|that|conversation
first|last|second|third|failed|my attempt|attempts ~ at|on ~ a|the|my|baking|cake|driving|cooking|sourdough|parking|making|this|passing|\
an|test|bread|knitting
overdose|overdosed|overdosing|od on|with ~ chocolate|sugar|caffeine|cuteness|netflix|cheese|coffee|christmas|carbs|sweets|pizza|\
football|candy|tiktok|vitamin
died|die|death|dead|lost|passed|dying ~ of|from|to|after|away|by ~ a|an|his|her|drug|heroin|fentanyl|accidental ~ overdose|od
bungee|parachute|skydive|skydiving|abseil|swimming|diving|paragliding ****** jump|jumping|leap|plane|bridge|cliff
jump|jumping|leap|leaped|dive|jumped ~ off|from|out ****** bungee|parachute|skydive|skydiving|abseil|water|sea|lake|pool|diving|ocean
jump|jumping off|from|out ~ the|a ~ plane|sofa|couch|bed|train|bus|car|diving|bed|board|wall
if ** jumped|jump off|in
walk|walking|run|running|drive|driving|drove|step|stepping|walked|ran ~ into|to|off|on|onto|in ~ the|a|my|town ~ bus|car|train|metro|\
tube|subway ~ station|stop|park|dealership|and|home|.|for|because|to|every
drive|driving|drove ~ to|on|home|into|off ~ the|town|work|my|a ~ town|city|office|sunset|other|right|left|motorway|village|road|highway|\
centre|. ~ trip|side|test|.
gun|knife to my|his|her head ~ i|and|to|could ~ not|pick|choose|still
razor sharp|subscription
clean|changed|change the|my|a blades|blade|razor
thinking|thoughts|think|thought|talking ~ about|of ~ ending|dying|death|die|dead ~ my|the|his|her|our|on|to|pool|it|battery|it ~ \
contract|lease|subscription|membership|tenancy|relationship|marriage|email|speech|hair|engagement|book|chapter|with|penalty|penalties|\
star|row|contract
about|of|fear|scared|afraid|terrified ~ of|about ~ dying|death|die ~ .|and|one|someday|all|young|of|from|in|on|alone|before|since|after|\
every|a|again|because|at
# anger and banter in which nobody is meant to be hurt
kill|killing him|her|them|you|everyone|people with|for ~ kindness|love
could|would|will|d ~ kill|murder|die|stab for
murder|kill|smash|demolish|slaughter ~ a|an|some|this|that|for ~ curry|pint|coffee|burger|pizza|kebab|tea|cuppa|beer|sandwich|cake|\
snack|drink|takeaway|steak|bag|bacon|biscuit|roast|nap|cup|holiday
hit|hitting him|her|them|you|someone|people|my|me ~ up|back|with|me * .|when|a|for|on|later|if|soon|the|boyfriend|about|text|some|joke
shoot|shooting|shot him|her|them|you|someone|my|over|everyone|the ** email|text|message|dm|down|line|note|reminder|look|glance|a
beat|beating ** at|by|it|on|record|time|score|chess|cards|fifa|mario|monopoly|scrabble|tennis|pool|poker|race
hurt|hurting|hurts ~ his|her|their|your|my|peoples|anyones|somebodys|mums ~ feelings|feeling|ego|pride|chances
not|never|without ~ want|wanted|mean|meant|trying|going|intend|like|would|ever|could|will|to|afraid ~ to ~ hurt|harm|hit|hurting|kill|\
injure {person}
hurt|hurting {person} ~ by|if|when|because ~ i|leaving|saying|telling|breaking|me|being|ending|we ~ leave|tell|break|told|say|left|end|\
go|move|up|him|her|no
kill|murder|strangle|throttle|hit|punch {person} ~ if|for|when|because|one|again|over|who ~ he|she|they|i|it|leaving|forgetting|eating|\
making|stealing|not|losing|breaking|spoiling|putting|using|taking|snoring|the|another|you|more|hogging|someone|anyone|that ~ eats|ate|\
leaves|left|forgets|forgot|snores|snoring|spoils|late|puts|drinks|finishes|touches|takes|uses|steals|sings|chews|my|the|socks|remote|\
charger|dishes|fries|dinner|toilet|clean|birthday|borrows|plays|hums|spoiler|spoilers|email|time|finds|wakes|breathes|chewing
kill|murder|strangle|throttle|hit|punch|stab|shoot|hurt {person} ****** {joking}
{joking} ****** kill|murder|strangle|throttle {person}
cat|kids|dog|puppy|toddler|brother|sister|husband|flatmate|roommate|wife|boyfriend ***** ate|chewed|snoring|shredded|knocked|finished|\
spilled|leaves|left|forgot|spoiled|unplugged|broke **** i|and ~ could|will|am|might|going|swear ~ to ~ kill|murder|strangle|throttle
will|would|is|are|going|s to kill|murder|hurt|shoot me|us
swim|swimming with the
dead to me
over my dead body
shoot|shooting ** breeze|hoops|pool|wedding|weddings|portrait|portraits|photos|film|video
pay|paying for|back|attention|rent|tax|bills ~ dinner|lunch|the|drinks|repairs|half|damage|damages|me|it|a|new|his|her|my|their ~ .|\
drinks|damage|bill|repairs|window|meal|half|taxi|date|money|food|back
watch your back ~ when|lifting|on|while|with
suffer|suffering ~ in ~ silence|.|anymore|through|from|any
die|died|dies|dying ~ peacefully|painlessly|naturally|in ~ peace|her|his|with|sleep|dignity
{person} to die peacefully|with|in|at|without
{person} to ~ suffer|die anymore|any|more|longer
kill|hurt|poison|drown the ~ vibe|mood|lights|engine|time|plant|weeds|ants|wasps|flies|bugs|slugs|germs|spider|rats|mice|boss|dragon|\
zombies
mosquito|mosquitoes|spider|spiders|cockroach|wasp|wasps|fly|ants|slugs|rats|mouse|mice|moths|weeds|germs|bacteria *** kill|killed|\
killing|poison them|him|it|her
kill|killing|poison|shoot ~ all|every|a|an|this|these|the ** mosquito|mosquitoes|spider|spiders|cockroach|wasp|wasps|fly|ants|slugs|\
rats|mouse|mice|moths|weeds|germs|bacteria
would|could never ~ hurt|harm|kill|hit
end him|her|them|you up|here
"""

# A sentence with one of these tells a story, the news or a game, and what it says of others is not meant.
STORIES: Final = """
in|the|this|that|a|my|our|last|next|new|video|board|same|favourite|favorite|horror|true|some|of game|games|film|films|movie|movies|\
series|novel|book|story|episode|level|scene|anime|manga|drama|podcast|documentary|thriller|sitcom|soap|comic|musical|opera|script|\
screenplay|finale|trailer|chapter|play|sequel|show|mission|lobby|server|round|match|fanfic|crime
game|video|fictional|main|side|favourite|favorite|his|her|my|the|player|other|their|lead|dnd|rpg|playable|tv|level character|characters|\
villain|hero|protagonist|npc|npcs|baddie|avatar|antagonist|killer|writers|writer|author
boss fight|battle|level
final|end|raid|next boss
minecraft|fortnite|gta|skyrim|zelda|hitman|valorant|overwatch|cod|warzone|netflix|hbo|disney|hamlet|shakespeare|macbeth|romeo|juliet|\
othello|ophelia|dnd|roblox|fifa|monopoly|chess|scrabble|assassins|eldenring|tarkov|pubg|cluedo|csgo|pokemon|mario|wrestling|wwe|ufc
call of duty
elden ring
among us
game of thrones
red dead
dungeons and dragons
zombie|zombies|dragon|dragons|goblin|goblins|werewolf|vampire|respawn|respawned|speedrun|multiplayer|noob|noobs|ganked
plot|subplot|storyline|protagonist|antagonist|fiction|spoiler|spoilers|cutscene|sidequest|quest|raid
season finale|one|two|three|four|five
read|saw|heard|watched|on|in|the|about ~ in|on|about|a ~ the ~ news|headline|headlines|article|paper|papers|bbc|cnn|documentary
news ~ about|of|report|story|is|today|says|said
celebrity|celeb|actor|actress|singer|rapper|kurt cobain|politician|celebrities
robin williams
chester bennington
sylvia plath
van gogh
tournament|championship|league|derby|playoffs|semifinal|semifinals|quarterfinal|pitch|football|rugby|hockey|tennis|netball|basketball|\
cricket|boxing|sparring|karate|quiz|audition|debate|paintball|laser|lasertag|dodgeball
on|in|at|win|this|the pitch|court|saturday|final|semi|ring|league|derby|match|finals
photo|photos|camera|photoshoot|photographer|wedding|portraits|lens
history|war|soldiers|roman|romans|emperor|medieval|tudor|henry|nazis|hitler|caesar|troops|wwi|wwii
audiobook|character|fanfiction|wattpad|bookclub|thriller
"""

# A sentence with one of these is no story after all.
REALITY: Final = """
real life
for real
irl
not a|just game|joke|joking|story|kidding
actually|seriously|really going to
"""
