"""Words that guards know. English where not said otherwise: where a language is not known, all of
its words count, and fewer prompts are taken for the same.
"""


def _pairs(listed: str) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(each.split("/")) for each in listed.split())


def words(listed: str) -> frozenset[str]:
    """Those of a list with spaces."""
    return frozenset(listed.split())


def _named(listed: str) -> dict[str, str]:
    """Each word to the first of its line."""
    lines = [line.split() for line in listed.strip().splitlines()]
    return {word: line[0] for line in lines for word in line}


#: Turn a sentence round: no two of them are told apart, an even number is none.
NEGATIONS = words(
    "unable no not never none nothing nobody nowhere neither nor without cannot hardly barely "
    "scarcely nicht kein keine keinen keiner ohne nie niemals pas sans jamais sin nunca "
    "jam\u00e1s senza mai n\u00e3o sem nunca niet geen zonder nooit"
)
#: What limits or extends what is asked: both prompts must have the same.
LIMITS = _named(
    """
    only solely merely exclusively
    except excluding besides unless apart
    both
    half
    """
)
#: How much of a whole: prompts that say different things are different.
AMOUNTS = _named(
    """
    all every each entire whole
    some several
    few
    many
    any
    """
)
#: What must be, and what may be.
DUTIES = words("must should shall ought obliged obligatory required mandatory compulsory")
LEAVES = words("may can could might possible allowed permitted optional")
PAST = words("was were did had wasn't weren't didn't hadn't")
PRESENT = words("is are am do does has have isn't aren't don't doesn't hasn't haven't")
FUTURE = words("will shall won't 'll gonna")

#: Of whom: both prompts must say the same.
PERSONS = words("he him his himself she her hers herself")

#: Of each kind both prompts must name the same, where both name any.
SAME_KINDS: dict[str, frozenset[str]] = {
    "day": words("monday tuesday wednesday thursday friday saturday sunday weekend weekday"),
    "month": words(
        "january february march april may june july august september october november december"
    ),
    "season": words("spring summer autumn fall winter easter christmas"),
    "language": words(
        "english french german spanish italian portuguese dutch russian chinese mandarin "
        "cantonese japanese korean arabic hebrew hindi urdu bengali turkish polish czech greek "
        "latin swedish danish norwegian finnish hungarian romanian ukrainian vietnamese thai "
        "indonesian swahili"
    ),
    "country": words(
        "france germany spain italy portugal netherlands belgium switzerland austria poland "
        "sweden norway denmark finland iceland ireland scotland wales england britain uk usa us "
        "america canada mexico brazil argentina chile peru colombia china japan korea india "
        "pakistan iran iraq israel egypt turkey greece russia ukraine australia africa europe "
        "asia kenya nigeria vietnam thailand indonesia hungary romania croatia serbia california "
        "texas florida"
    ),
    "colour": words(
        "red green blue yellow orange purple violet pink brown black white grey gray cyan magenta"
    ),
    "direction": words("north south east west northern southern eastern western"),
    "program": words(
        "python java javascript typescript rust golang ruby php perl kotlin swift scala haskell "
        "fortran cobol matlab julia lua bash powershell sql postgres postgresql mysql sqlite "
        "mongodb windows linux macos ubuntu debian android ios iphone chrome firefox safari excel "
        "json xml yaml csv html pdf markdown docker kubernetes git svn npm pip numpy pandas "
        "pytorch tensorflow react angular vue django flask aws azure gcp kafka redis"
    ),
    "element": words(
        "hydrogen helium lithium carbon nitrogen oxygen sodium magnesium aluminium aluminum "
        "silicon phosphorus sulfur chlorine potassium calcium iron copper zinc silver gold "
        "mercury lead uranium"
    ),
    "planet": words("mercury venus earth mars jupiter saturn uranus neptune pluto moon sun"),
    "currency": frozenset(("usd", "eur", "gbp", "jpy", "chf", "inr", "cny", "cad", "aud", "btc")),
}
#: Where both prompts name one, it must be the same.
OTHER_KINDS: dict[str, dict[str, str]] = {
    "unit": _named(
        """
        kilometer kilometers kilometre kilometres km
        meter meters metre metres
        centimeter centimeters centimetre centimetres cm
        millimeter millimeters mm
        mile miles
        yard yards
        foot feet ft
        inch inches
        gram grams g
        kilogram kilograms kilo kilos kg
        milligram milligrams mg
        microgram micrograms mcg
        ton tons tonne tonnes
        pound pounds lb lbs
        ounce ounces oz
        liter liters litre litres l
        milliliter milliliters ml
        gallon gallons
        celsius centigrade
        fahrenheit
        kelvin
        second seconds sec secs
        minute minutes min mins
        hour hours hr hrs
        day days daily
        week weeks weekly
        fortnight
        month months monthly
        quarter quarters quarterly
        year years yearly annual annually
        decade decades
        century centuries
        byte bytes
        kilobyte kilobytes kb
        megabyte megabytes mb
        gigabyte gigabytes gb
        terabyte terabytes tb
        bit bits
        watt watts w
        kilowatt kilowatts kw
        volt volts
        ampere amperes amp amps
        dollar dollars usd $
        euro euros eur \u20ac
        sterling gbp \u00a3
        yen jpy \u00a5
        percent % percentage
        am
        pm
        acre acres
        hectare hectares
        hz
        khz
        mhz
        ghz
        rad radian radians
        degree degrees
        """
    ),
    "time": _named(
        """
        today tonight now currently
        tomorrow
        yesterday
        morning
        noon midday
        afternoon
        evening
        midnight
        next upcoming
        last previous past
        """
    ),
}

#: One of each in either prompt: they ask for opposites.
OPPOSITES = _pairs(
    "up/down in/out on/off over/under above/below before/after inside/outside to/from and/or "
    "for/against with/without front/back top/bottom first/last start/stop start/end start/finish "
    "begin/end open/close open/shut push/pull push/pop give/take give/receive send/receive "
    "buy/sell buy/rent lend/borrow win/lose pass/fail accept/reject accept/decline allow/forbid "
    "allow/deny allow/block permit/ban allow/prevent grant/revoke add/remove add/subtract "
    "add/delete create/delete create/destroy build/destroy insert/delete install/remove "
    "multiply/divide plus/minus rise/fall raise/lower grow/shrink gain/lose expand/shrink "
    "accelerate/brake attack/defend arrive/depart arrive/leave enter/leave enter/exit come/go "
    "join/leave love/hate like/hate like/dislike friend/enemy ally/enemy hero/villain good/bad "
    "good/evil better/worse best/worst best/least more/less more/fewer most/least many/few "
    "much/little high/low higher/lower highest/lowest big/small bigger/smaller biggest/smallest "
    "large/small larger/smaller largest/smallest long/short longer/shorter longest/shortest "
    "tall/short taller/shorter tallest/shortest old/young old/new older/younger older/newer "
    "oldest/youngest oldest/newest early/late earlier/later earliest/latest fast/slow "
    "faster/slower fastest/slowest quick/slow hot/cold hotter/colder hottest/coldest warm/cool "
    "warm/cold wet/dry heavy/light heavier/lighter heaviest/lightest light/dark bright/dark "
    "bright/dim hard/soft hard/easy difficult/easy harder/easier hardest/easiest strong/weak "
    "stronger/weaker rich/poor cheap/expensive cheaper/expensive cheapest/expensive cheap/dear "
    "full/empty full/partial deep/shallow wide/narrow thick/thin fat/thin fat/slim loud/quiet "
    "near/far nearest/farthest nearest/furthest closest/farthest closest/furthest clean/dirty "
    "safe/dangerous healthy/sick healthy/harmful alive/dead live/die birth/death born/die "
    "born/died married/divorced single/married true/false yes/no right/wrong right/left "
    "correct/wrong real/fake same/different similar/different similarity/difference same/opposite "
    "public/private local/remote local/global domestic/foreign online/offline manual/automatic "
    "free/paid paid/unpaid permanent/temporary static/dynamic mutable/immutable positive/negative "
    "optimist/pessimist benefit/risk benefit/drawback benefit/harm pro/con pros/cons "
    "strength/weakness cause/effect cause/symptom cause/consequence cause/cure symptom/treatment "
    "symptom/cause prevent/treat prevent/cause profit/loss revenue/cost income/expense "
    "asset/liability debit/credit supply/demand import/export buyer/seller employer/employee "
    "landlord/tenant lender/borrower teacher/student doctor/patient parent/child sender/receiver "
    "sender/recipient client/server input/output read/write upload/download upstream/downstream "
    "encrypt/decrypt encode/decode compress/extract zip/unzip login/logout sign/unsign show/hide "
    "visible/hidden expand/collapse lock/unlock attach/detach mount/unmount connect/disconnect "
    "follow/unfollow subscribe/cancel renew/cancel activate/cancel confirm/cancel keep/delete "
    "save/delete save/discard save/spend ascending/descending ascend/descend forward/backward "
    "forwards/backwards horizontal/vertical row/column rows/columns width/height "
    "latitude/longitude numerator/denominator mean/median minimum/maximum min/max lower/upper "
    "floor/ceiling sunrise/sunset day/night man/woman men/women boy/girl boys/girls male/female "
    "husband/wife father/mother mom/dad brother/sister son/daughter king/queen uncle/aunt "
    "nephew/niece actor/actress singular/plural subject/object noun/verb active/passive "
    "question/answer summer/winter spring/autumn spring/fall heaven/hell war/peace victory/defeat "
    "success/failure gas/liquid liquid/solid gas/solid acid/base proton/electron artery/vein "
    "virus/bacteria inner/outer internal/external interior/exterior major/minor senior/junior "
    "ancient/modern past/future rural/urban land/sea vegetarian/meat adult/child adults/children "
    "dog/cat winner/loser winners/losers guilty/innocent legal/criminal increase/reduce "
    "increase/lower raise/reduce raise/cut freeze/melt freeze/thaw heat/cool boil/freeze "
    "boiling/freezing boiling/melting melting/freezing debit/prepaid include/omit simple/complex "
    "simple/compound theory/practice formal/informal sync/async serial/parallel always/never "
    "often/rarely often/seldom everybody/nobody everyone/nobody everything/nothing "
    "somebody/nobody if/unless because/although whole/part odd/even prime/composite "
    "forget/remember sit/stand sleep/wake borrow/return wax/wane rich/broke prepay/postpay"
)

#: Words that, put before a stem, make different words of it; nothing is one of them.
PREFIXES = (
    *("", "un", "in", "im", "il", "ir", "dis", "de", "non", "mis", "anti", "counter", "ex", "en"),
    *(
        "em",
        "re",
        "pre",
        "post",
        "over",
        "under",
        "up",
        "down",
        "on",
        "off",
        "out",
        "fore",
        "after",
    ),
    *("hyper", "hypo", "macro", "micro", "mini", "maxi", "mono", "bi", "tri", "uni", "multi"),
    *("poly", "inter", "intra", "intro", "extra", "extro", "sub", "super", "pro", "con", "homo"),
    *(
        "hetero",
        "endo",
        "exo",
        "ab",
        "ad",
        "as",
        "des",
        "semi",
        "co",
        "self",
        "back",
        "fast",
        "well",
    ),
    *("north", "south", "east", "west", "man", "wo", "step", "grand", "great", "god"),
)
SUFFIXES = ("", "ful", "less", "er", "ee", "or", "free", "proof")

#: Words that may stand for each other where all else is the same.
SYNONYMS = _named(
    """
    delete remove erase
    nearest closest
    farthest furthest
    undo revert
    begin start commence
    end finish
    stop halt
    fix repair resolve
    make create build produce
    combine merge join
    change modify alter update
    fast quick rapid speedy fastest quickest faster quicker
    big large
    biggest largest
    small little
    smallest littlest
    buy purchase order
    get obtain receive
    show display
    shop store
    product item article
    order purchase
    delivery shipping shipment
    ship deliver
    arrive come
    price cost
    car automobile
    phone telephone
    movie film
    picture image photo photograph
    job work
    company firm business
    kid child
    children kids
    doctor physician
    sick ill
    begin start
    choose select pick
    help assist support
    need require
    try attempt
    answer reply response
    error mistake
    bug defect
    method function
    dict dictionary
    dicts dictionaries
    folder directory
    happen occur
    purpose goal aim
    author writer
    write author
    wrote author
    significance importance
    meaning definition
    define mean
    difference distinction
    primary main
    advantage benefit
    disadvantage drawback
    allow permit
    forbid prohibit
    area region
    ocean sea
    height tall
    age old
    speed fast
    length long
    distance far
    weight heavy
    depth deep
    forgotten forgot
    reset change
    return back
    safe safely
    lawyer attorney
    flat apartment
    autumn fall
    vacation holiday
    subway underground metro
    truck lorry
    bathroom toilet restroom
    email mail
    sign register
    signup register
    login signin
    invoice bill
    refund reimbursement
    rapidly quickly
    famous known
    common frequent
    usual typical
    """
)

#: What is asked for with them is said by the rest.
OPEN = words(
    "way ways step steps method process procedure instructions guide tutorial tips advice recipe "
    "need want trying try help possible wondering looking ok okay any anyone anybody safe allowed "
    "legal bad good normal worth tell about"
)
#: Words that say little of what is asked: how it is asked, or that it is.
FILLERS = words(
    "a an the this that these those of in on at to for from by with about into onto as than then "
    "and or but if so is are am was were be been being do does did doing done has have had having "
    "will would shall should can could may might must i i'm i've i'd me my mine myself we us our "
    "ours you your yours it its it's they them their theirs he him his she her hers one ones "
    "there here what what's which who who's whom whose when where why how no not never please "
    "kindly hi hello hey thanks thank okay ok tell explain describe show give say let know want "
    "wish need like get got help provide find list name define mean means meaning called call way "
    "ways step steps method process procedure thing things kind kinds number amount exactly "
    "actually really very much many some any just simply quickly basically currently possible "
    "possibly able happen happens happened go goes going make makes made exist exists would "
    "question answer information info details detail regarding concerning re s t d ll ve m don "
    "isn't aren't wasn't weren't don't doesn't didn't hasn't haven't hadn't can't couldn't won't "
    "wouldn't shouldn't mustn't hello i'll you're we're they're that's there's could've someone "
    "somebody something person people place available reason point city year time date day "
    "country artist team company word term concept idea following given out up also too"
)
#: Of these the word behind says which part it plays.
ROLES = words("from to into onto than by over against before after versus vs under beats")
#: Words that say nothing of who does what.
FORM = words("a an the do does did please")
#: Names of what is asked for: with another one it is another question.
ASKED_FOR = words(
    "city country year time date day month name number amount reason person people place company "
    "team artist word type kind address price age"
)

#: All of them: none is another one, mistyped.
KNOWN = frozenset().union(
    *(NEGATIONS, LIMITS, AMOUNTS, DUTIES, LEAVES, PAST, PRESENT, FUTURE, SYNONYMS, FILLERS, ROLES),
    *SAME_KINDS.values(),
    *OTHER_KINDS.values(),
    *OPPOSITES,
)
