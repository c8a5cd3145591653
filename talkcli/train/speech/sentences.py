"""Texts for the synthetic voices: short sentences and invented words in many languages."""

from __future__ import annotations

import numpy as np

#: By espeak-ng voice; chosen for p, b, m, f, v and for open and rounded vowels.
SENTENCES: dict[str, tuple[str, ...]] = {
    "en-us": (
        "My brother bought a big blue boat before the summer began.",
        "Five fat pumpkins fell off the farmer's old wagon.",
        "What a wonderful view we have from up here above the valley!",
        "Please open the window, the room is far too warm for me.",
        "Nobody believed that the mayor would move to a smaller town.",
        "She poured the hot soup into a bowl and put it on the table.",
    ),
    "en-gb-x-rp": (
        "Perhaps the farmer's wife will help you find the path.",
        "The museum shop sells beautiful maps of the whole of Europe.",
        "We are hoping for better weather by the middle of April.",
        "How much more money do you want for that awful painting?",
    ),
    "fr": (
        "Mon ami Paul a perdu son parapluie bleu dans le métro.",
        "Vous avez vu le beau film dont tout le monde parle ?",
        "Ma voisine fabrique un pain merveilleux pour la fête du village.",
        "Il faut fermer la porte avant que le vent ne se lève.",
    ),
    "de": (
        "Am Abend fahren wir mit dem Boot über den blauen See.",
        "Mein Bruder hat vier große Äpfel vom Baum gepflückt.",
        "Würden Sie bitte das Fenster öffnen, es ist viel zu warm.",
        "Fünf Frauen malen ein wunderbares Bild vom Hafen.",
    ),
    "pt-br": (
        "Minha mãe preparou um bolo maravilhoso para a festa.",
        "O barco velho navega devagar pelo rio até a vila.",
        "Você pode abrir a porta para o meu amigo, por favor?",
    ),
    "ru": (
        "Мой брат купил новую лодку и поплыл по большой реке.",
        "Бабушка варит вкусный суп из овощей и рыбы.",
        "Почему вы не пришли вчера вечером на праздник?",
    ),
    "cmn-latn-pinyin": (
        "wo3 ma1ma1 ming2tian1 zuo4 fei1ji1 qu4 bei3jing1 kan4 peng2you3.",
        "ta1 mai3 le ba1 ben3 xin1 shu1 he2 yi4 ba3 hong2se4 de yu3san3.",
        "qing3 wen4, zhe4 fu4jin4 you3 mei2you3 pian2yi de fan4guan3?",
    ),
    "nl": (
        "Mijn buurvrouw bakt elke week vijf broden voor het hele dorp.",
        "Wij wandelen morgen over de brug naar het oude fort.",
    ),
    "sv": (
        "Min mamma vill bo på en båt vid havet hela sommaren.",
        "Fem små barn åker buss till fjället varje vecka.",
    ),
    "hi": (
        "मेरा भाई बाज़ार से फल और सब्ज़ियाँ लाया है।",
        "आप कब वापस मुंबई आएँगे, मुझे बताइए।",
    ),
    "ar": (
        "ذهب أبي إلى المكتبة واشترى كتابا جميلا عن البحر.",
        "مرحبا بكم في هذا البرنامج، ماذا تفعلون اليوم؟",
    ),
    "ko": (
        "어머니는 아침마다 부엌에서 빵과 우유를 준비하십니다.",
        "바다 위에 배가 떠 있고 바람이 불어옵니다.",
    ),
    "el": (
        "Ο αδελφός μου αγόρασε ένα μεγάλο μπλε βαρκάκι.",
        "Μπορείτε να ανοίξετε το παράθυρο, παρακαλώ;",
    ),
    "vi": ("Mẹ tôi mua bốn quả bưởi và một bó hoa ở chợ.",),
    "es": (
        "Mi abuelo vive en un pueblo pequeño cerca del mar.",
        "¿Puede abrir la ventana? Aquí hace mucho calor por la tarde.",
        "Pablo fue a comprar pan, vino y un buen pedazo de pavo.",
    ),
    "it": (
        "Mia moglie prepara una buona pizza con funghi e pomodoro.",
        "Domani vorrei fare una bella passeggiata fino al porto.",
    ),
    "ja": (
        "きのう、ともだちと うみべの まちまで あるいて いきました。",
        "パンと バナナを たべて、ぎゅうにゅうを のみます。",
    ),
    "tr": (
        "Babam sabah erkenden pazara gidip ekmek ve peynir aldı.",
        "Bu mavi vapur her akşam limandan adaya gider.",
    ),
    "pl": (
        "Mój brat kupił w sklepie pięć białych bułek i mapę.",
        "Wieczorem pójdziemy nad wodę popatrzeć na łabędzie.",
    ),
}
#: Kept out of training, for evaluation.
HELD_OUT_LANGUAGES = ("es", "it", "ja", "tr", "pl")
VOICES = (
    "", "m1", "m2", "m3", "m4", "m5", "m8", "f1", "f2", "f3", "Andrea", "Annie", "Antonio",
    "Denis", "Gene", "Iven", "Jacky", "Lee", "Michael", "Mike", "belinda", "david", "edward",
    "john", "linda", "max", "paul", "sandro", "steph", "travis", "victor", "zac",
)  # fmt: skip
HELD_OUT_VOICES = ("m6", "m7", "f4", "f5", "Alicia", "Hugo", "Diogo")

_ONSETS = (
    "p", "b", "m", "f", "v", "w", "t", "d", "s", "z", "n", "l", "r", "k", "g", "h", "sh", "ch",
    "j", "y", "pr", "br", "fl", "pl", "sm",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "oo", "ee", "ai", "ow", "aw", "oa", "ou", "ar", "er")
_CODAS = ("", "", "", "m", "n", "p", "b", "s", "l", "t", "f", "v", "k")


def invented_words(rng: np.random.Generator, count: int = 7) -> str:
    """A sentence of invented words rich in labial sounds: ``"bamoop fivair smarp ..."``."""
    words = []
    for _ in range(count):
        syllables = [
            str(rng.choice(_ONSETS)) + str(rng.choice(_VOWELS)) + str(rng.choice(_CODAS))
            for _ in range(rng.integers(1, 4))
        ]
        words.append("".join(syllables))
    return " ".join(words) + "."
