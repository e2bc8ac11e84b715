"""What is mistaken for what: neighbouring keys, lookalikes, accents and homophones."""

_STAGGER = (0, 0.25, 0.75)  # how far each row of keys is pushed to the right, in keys


def _neighbours(*rows: str) -> dict[str, str]:
    """Every key's neighbours: the keys at most one key away in its own row and in the rows above and below."""
    keys = [(key, y, x + _STAGGER[y]) for y, row in enumerate(rows) for x, key in enumerate(row)]
    return {
        key: "".join(other for other, v, u in keys if other != key and abs(v - y) <= 1 and abs(u - x) <= 1)
        for key, y, x in keys
    }


_DIGITS = _neighbours("1234567890")
KEYBOARDS = {
    "qwerty": _neighbours("qwertyuiop", "asdfghjkl", "zxcvbnm") | _DIGITS,
    "qwertz": _neighbours("qwertzuiopü", "asdfghjklöä", "yxcvbnm") | _DIGITS,
    "azerty": _neighbours("azertyuiop", "qsdfghjklm", "wxcvbn") | _DIGITS,
}


def _parse_confusions(groups: str) -> dict[str, list[str]]:
    """Each member of a group may replace each other one; a slash ends a group."""
    out: dict[str, list[str]] = {}
    for group in map(str.split, groups.split("/")):
        for one in group:
            out.setdefault(one, []).extend(other for other in group if other != one)
    return out


def _parse_choices(entries: str) -> dict[str, str]:
    """Each of the other characters of an entry may replace its first."""
    return {entry[0]: entry[1:] for entry in entries.split()}


LOOKALIKES = _parse_confusions("""
0 O o / 1 l I i | / 5 S s / 8 B / 2 Z z / 6 b G / 9 g q / c e / 4 A / rn m / cl d / vv w / li h / ii u / u v / t f / n h
/ C G / E F / P R / D O / U V / M N / . , / : ; / a o / y v / K X / x k
""")
"""What a reader of print takes for each other, OCR's usual confusions: single characters and pairs."""
LOOKALIKE_PAIRS = frozenset(key for key in LOOKALIKES if len(key) == 2)

HOMOGLYPHS = _parse_choices("""
aаα cсϲ dԁ eе hһ iіι jјϳ kкκ lӏ mм nп oоο pрρ qԛ rг sѕ tтτ uυ vѵν wԝω xхχ yуγ AАΑ BВΒ CСϹ EЕΕ GԌ HНΗ IІΙ JЈͿ
KКΚ MМΜ NΝ OОΟ PРΡ SЅ TТΤ VѴ WԜ XХΧ YУΥ ZΖ
""")
"""Cyrillic and Greek letters that look like a Latin one."""

LEET = _parse_choices("a4@ b8 e3 g9 i1! l1 o0 s5$ t7 z2 A4@ B8 E3 G9 I1! L1 O0 S5$ T7 Z2")

ACCENTS = _parse_choices("""
aàáâãäå cçćč eèéêë iìíîï nñń oòóôõö sśš uùúûü yýÿ zźžż AÀÁÂÃÄÅ CÇĆČ EÈÉÊË IÌÍÎÏ NÑŃ OÒÓÔÕÖ SŚŠ UÙÚÛÜ YÝŸ ZŹŽŻ
""")

MARKS = ",.;:!?"
ENDINGS = MARKS + "…。、，！？；：،؟؛।"  # also of other scripts
INVISIBLE = "\u200b\u2060\ufeff"  # zero-width space, word joiner, byte order mark: they shape no script
EMOJI = (
    *("😀", "😂", "🤣", "😊", "😍", "😘", "😎", "🤔", "😴", "😭", "😡", "😱"),
    *("🙄", "🤷🏽‍♀️", "👍🏻", "👎", "👏🏿", "🙏", "💪", "🔥", "✨", "🎉", "💯", "❤️"),
    *("💔", "👀", "🚀", "🌈", "☀️", "🐶", "🍕", "🏳️‍🌈", "👩‍💻", "✅", "❌", "❓"),
)

FILLERS = ("um", "uh", "er", "hmm", "like", "well", "you know", "i mean")
HOMOPHONES = _parse_confusions("""
their there they're / its it's / your you're / to too two / for four fore / one won / eight ate / by buy bye / no
know / knows nose / new knew / hear here / our hour are / so sew sow / see sea / be bee / or oar ore / in inn / not
knot / would wood / week weak / meet meat / which witch / while wile / whether weather / where wear / were we're /
whose who's / then than / through threw / right write rite / read reed / red read / road rode / sail sale / son sun
/ some sum / seen scene / sent cent scent / site sight cite / steel steal / i eye / peace piece / plane plain / pair
pear pare / pray prey / principal principle / rain reign / role roll / root route / made maid / mail male / main
mane / night knight / none nun / passed past / wait weight / way weigh / war wore / waste waist / allowed aloud / us
bus / break brake / cell sell / dear deer / die dye / fair fare / find fined / flour flower / great grate / hair
hare / heard herd / him hymn / hole whole / key quay / led lead / loan lone / minor miner / morning mourning / pause
paws / poor pour / real reel / sauce source / stair stare / tail tale / tide tied / toe tow / vain vein / bare bear
/ blue blew / bored board / bread bred / cereal serial / affect effect / accept except / and an / of off / want
won't / ad add / air heir / aisle isle / ball bawl / beat beet / berry bury / capital capitol / course coarse /
council counsel / desert dessert / hall haul / heal heel / higher hire / horse hoarse / lessen lesson / lie lye /
mind mined / pain pane / patience patients / peak peek / soul sole
""")
