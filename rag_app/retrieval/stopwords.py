"""Words that carry no topic, per language; only the lightest ones, so that no question loses its subject."""

_WORDS = {
    "en": "a an and are as at be been but by did do does for from had has have if in into is it its of on or s so such "
    "t that the their then there these they this those to was were will with would can could should i you we he she "
    "my your our his her me us them am being than about",
    "de": "der die das den dem des ein eine einer eines einem einen und oder ist sind war waren wird werden wurde im "
    "in an am auf aus bei mit nach von vom zu zum zur für es er sie wir ihr ich du nicht sich auch als wie dass daß "
    "dies diese dieser dieses hat haben kann so um",
    "fr": "le la les l un une des du de d et ou est sont était a au aux en dans par pour sur avec ce cette ces cet il "
    "elle ils elles on nous vous je tu ne pas se s qu que qui son sa ses leur leurs été être plus",
    "es": "el la los las un una unos unas y o de del al en por para con es son era fue se su sus lo que no a como más "
    "este esta estos estas ha han ser",
    "it": "il lo la i gli le l un una uno e o di del della dei delle dello degli al alla ai alle in nel nella nei per "
    "con su da dal dalla è sono era si non che a ha hanno come questo questa essere",
    "pt": "o a os as um uma uns umas e ou de do da dos das em no na nos nas por para com é são era foi se que não ao "
    "à como mais este esta seu sua ser",
    "nl": "de het een en of van in op te aan bij met voor door uit naar is zijn was waren wordt worden dat die dit "
    "deze er om niet ook als hij zij ze we wij ik je heeft hebben",
    "sv": "en ett och eller är var som på i av för med till den det de att om inte har han hon vi jag du sig från",
    "da": "en et og eller er var som på i af for med til den det de at om ikke har han hun vi jeg du sig fra",
    "no": "en et ei og eller er var som på i av for med til den det de at om ikke har han hun vi jeg du seg fra",
    "fi": "ja tai on oli ovat se ne ei että kuin myös hän he me",
    "ru": "и в во не что он на я с со как а то все она так его но да ты к у же вы за бы по от о из ему для это",
    "ro": "și sau este sunt a al ale ai în la cu de din pe pentru un o care nu se ca mai",
    "tr": "ve veya bir bu şu o da de ile için mi ne gibi",
    "hu": "a az és vagy egy nem hogy is ez van volt",
    "pl": "i w z na do o a nie się to jest że jak po od za dla są",
    "cs": "a v na je se o s z do i k že to jako pro jsou",
}

STOP_WORDS: dict[str, frozenset[str]] = {language: frozenset(words.split()) for language, words in _WORDS.items()}
"""ISO 639-1 code to the words left out of the lexical leg; all lower-case, before stemming."""
