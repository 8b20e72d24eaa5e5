# ruff: noqa: RUF001  # letters of other scripts are meant
"""Words to fill pages with, in several scripts, and sentences made of them from a seed."""

import random
from dataclasses import dataclass

_ENGLISH = """
    the of and to in a is that for it as was with be by on not he his but at are this have from or
    had an they which one you were all her she there would their we him been has when who will no
    more if out so river bridge harbour market letter winter captain window garden council engine
    figure measure railway village mountain weather pressure language history library question
    evidence theory surface current voltage balance revenue quarter interest population temperature
    observation experiment description committee agreement education government industry technology
    important different several possible available general particular available separate northern
    early careful narrow remarkable ordinary carried written measured reported considered followed
    described compared increased remained returned between against without through during before
    because although however therefore meanwhile already
"""
_CHINESE = """
    我们 研究 系统 方法 数据 模型 结果 问题 分析 时间 城市 发展 技术 经济 社会 文化 历史 教育 学生
    老师 春天 河流 桥梁 市场 信件 窗户 花园 火车 天气 温度 压力 语言 理论 证据 实验 观察 测量 比较
    增加 减少 表明 认为 可以 需要 已经 因为 所以 但是 同时 通过 关于 以及 主要 重要 不同 新的 这些
    其中 之间 之后 文字 识别 图像 页面 表格 公式 阅读 顺序 处理 转换 保持 能力
"""
_JAPANESE = """
    研究 方法 データ モデル 結果 問題 分析 時間 都市 技術 経済 社会 文化 歴史 教育 学生 先生 電車
    天気 これは それを ここで 使って して いる した ことが できる ために について という ものの
    である ページ テキスト システム コンピューター 画像 文字 読む 書く 考える 示す 行う 新しい 大きい
"""
_LANGUAGES: dict[str, str] = {
    "english": _ENGLISH,
    "chinese": _CHINESE,
    "japanese": _JAPANESE,
    "french": """
        être élève français garçon façon déjà où là très après forêt hôtel île noël naïf cœur œuvre théâtre
        le la les des une dans pour avec sur plus mais comme tout aussi encore même nous vous leur
        société économie énergie matière lumière rivière fenêtre maître août goût château règle modèle
        décrit mesuré présenté considéré l'été d'accord aujourd'hui c'est qu'elle n'avait""",
    "german": """
        über für möglich größe straße müssen können während später früher schön weiß groß fünf zwölf
        der die das und nicht mit auf ist ein eine auch nach bei aus wie noch nur oder aber wenn schon
        Brücke Häuser Bäume Fluß Übung Ähnlichkeit Öffnung Verständnis Geschäft Bevölkerung Wörter
        Maßstab Gebäude Fähigkeit Zusammenhang Gesellschaft beschrieben gemessen verändert geöffnet""",
    "spanish": """
        niño mañana año español señor corazón razón también después está según además aquí así jamás
        el los las una con por para como más pero entre cuando todo esta sobre ser tiene puede
        población energía economía región médico público número árbol pingüino vergüenza canción""",
    "polish": """
        życie książka świat źródło dźwięk łódź ręka mąż żona środek wąski głęboki późno również między
        nie się jest że na do jak ale tak tylko przez jego już był dla aby może przed można
        społeczeństwo gęś ćma ósmy wzór róża dziękuję proszę światło powietrze część dłoń pięć sześć""",
    "czech": """
        příběh člověk dům město řeka železnice žába kůň běžet děti tři čtyři před přes světlo škola
        že není jsou také jako když tak ale byl jeho podle však ještě při nebo více může pouze
        společnost účet věda měření přesnost střední děkuji prosím úřad ústav důvod průměr""",
    "greek": """
        και το της να του η με που από για την τα στο είναι οι σε θα μια δεν ένα αυτό τον στην ο πως
        θάλασσα πόλη νερό δρόμος βιβλίο γράμμα χρόνος λόγος φως ήλιος χώρα άνθρωπος παιδί σπίτι
        θερμοκρασία πίεση μέτρηση θεωρία ιστορία γλώσσα ερώτηση απάντηση επιστήμη πληθυσμός""",
    "russian": """
        и в не на что он она как это по но они мы все так его только было если уже или для от
        река город мост письмо зима окно сад совет история наука вопрос язык поверхность давление
        температура население хозяйство измерение описание общество правило важный разный общий""",
}
_NAMES = ("Marlowe", "Ashford", "Lindqvist", "Okafor", "Tanaka", "Rossi", "Novak", "Harbourton", "Vienna")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes sentences in one language, the same for the same random numbers.

    Attributes:
        rng: where choices come from.
        language: `english`, one of Latin with accents, `greek`, `russian`, `chinese` or `japanese`.
    """

    rng: random.Random
    language: str = "english"

    @property
    def is_cjk(self) -> bool:
        """Whether words are written without spaces."""
        return self.language in ("chinese", "japanese")

    def words(self, count: int) -> list[str]:
        """Return words, few of them twice in a row."""
        known = _LANGUAGES[self.language].split()
        return [self.rng.choice(known) for _ in range(count)]

    def sentence(self) -> str:
        """Return a sentence with what sentences have: commas, figures, names, quotation marks."""
        rng = self.rng
        words = self.words(rng.randint(6, 16))
        if self.is_cjk:
            if rng.random() < 0.3:
                words.insert(rng.randrange(len(words)), str(rng.randint(2, 2026)))
            middle = len(words) // 2
            return "".join(words[:middle]) + "，" + "".join(words[middle:]) + "。"
        for place in range(2, len(words) - 1):
            chance = rng.random()
            if chance < 0.05:
                words[place] = rng.choice(_NAMES) if self.language != "russian" else words[place]
            elif chance < 0.09:
                words[place] = rng.choice(
                    (
                        f"{rng.randint(2, 99)}",
                        f"{rng.randint(1, 99)}.{rng.randint(0, 9)}%",
                        f"{rng.randint(1850, 2026)}",
                    )
                )
            elif chance < 0.16:
                words[place] += ","
            elif chance < 0.18:
                words[place] = f"({words[place]})"
            elif chance < 0.20:
                words[place] = f"“{words[place]}”"
            elif chance < 0.21 and self.language == "english":
                words[place] = f"{words[place]}-{rng.choice(('based', 'like', 'wide', 'free'))}"
        words[0] = words[0][0].upper() + words[0][1:]
        return " ".join(words) + rng.choice((".", ".", ".", ".", "?", ";")).replace(";", ".")

    def paragraph(self, sentences: int) -> str:
        """Return so many sentences."""
        return ("" if self.is_cjk else " ").join(self.sentence() for _ in range(sentences))

    def heading(self) -> str:
        """Return a few words that stand as a heading."""
        if self.is_cjk:
            return "".join(self.words(4))
        words = [word.strip(",.") for word in self.words(self.rng.randint(2, 5))]
        while sum(map(len, words)) < 10:
            words += self.words(1)
        return " ".join(word[0].upper() + word[1:] for word in words)
